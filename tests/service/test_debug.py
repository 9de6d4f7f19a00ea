"""`submission serve --debug`: dialogues in the log, and no secret among them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator

import pytest
from scramp import ScramClient

from tests.service.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import free_port, wait_until
from tests.support.server import Server, Settings
from tests.support.sink import Sink

MECHANISMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "XOAUTH2"]
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYXJvbCJ9."
CONTENT = b"Subject: hunting\r\n\r\nThe treasure is under the oak.\r\n"


@pytest.fixture(scope="module")
def settings() -> Settings:
    oauth = {"issuer": "https://id.example.com", "audience": ["mail"], "client_id": "mail", "client_secret_file": "id"}
    oauth["introspection"] = f"http://127.0.0.1:{free_port()}/"
    return {"auth": {"mechanisms": MECHANISMS, "oauth": oauth}}


@pytest.fixture(scope="module")
def server(installation: Server) -> Iterator[Server]:
    """One for all tests."""
    (installation.folder / "id").write_text("secret")
    (installation.folder / "id").chmod(0o644)
    installation.options = ("--debug",)
    with installation:
        yield installation


@pytest.fixture(autouse=True)
def _relay(sink: Sink) -> None:
    """It answers as usual."""


class Talker:
    """A client that logs in, and keeps every secret that it sends."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.sent = [PASSWORD.encode(), TOKEN.encode()]

    def auth(self, mechanism: str, initial: bytes | None = None) -> bytes:
        """The challenge, decoded, or the reply that ended it."""
        return self._decode(self._client.say(f"AUTH {mechanism}" + (self._encode(initial) if initial else "")))

    def answer(self, response: bytes) -> bytes:
        return self._decode(self._client.say(self._encode(response).strip()))

    def _encode(self, octets: bytes) -> str:
        encoded = base64.b64encode(octets)
        self.sent += [octets, encoded]
        return f" {encoded.decode()}"

    def _decode(self, reply: bytes) -> bytes:
        if not reply.startswith(b"334 "):
            return reply
        self.sent.append(reply[4:].strip())
        return base64.b64decode(reply[4:])


def plain(talker: Talker) -> bytes:
    return talker.auth("PLAIN", f"\0{USER}\0{PASSWORD}".encode())


def plain_in_two_steps(talker: Talker) -> bytes:
    talker.auth("PLAIN")
    return talker.answer(f"\0{USER}\0{PASSWORD}".encode())


def login(talker: Talker) -> bytes:
    talker.auth("LOGIN")
    talker.answer(USER.encode())
    return talker.answer(PASSWORD.encode())


def login_with_user(talker: Talker) -> bytes:
    talker.auth("LOGIN", USER.encode())
    return talker.answer(PASSWORD.encode())


def cram_md5(talker: Talker) -> bytes:
    challenge = talker.auth("CRAM-MD5")
    digest = hmac.new(PASSWORD.encode(), challenge, "md5").hexdigest()
    talker.sent.append(digest.encode())
    return talker.answer(f"{USER} {digest}".encode())


def digest_md5(talker: Talker) -> bytes:
    """A wrong one, which needs no more than its form."""
    nonce = talker.auth("DIGEST-MD5").split(b'nonce="')[1].split(b'"')[0].decode()
    response = hashlib.md5(PASSWORD.encode()).hexdigest()
    talker.sent.append(response.encode())
    return talker.answer(
        f'username="{USER}",realm="example.com",nonce="{nonce}",cnonce="abcdefgh",nc=00000001,qop=auth,'
        f'digest-uri="smtp/mail.example.com",response={response}'.encode()
    )


def scram(talker: Talker, mechanism: str = "SCRAM-SHA-256") -> bytes:
    client = ScramClient([mechanism], USER, PASSWORD)
    client.set_server_first(talker.auth(mechanism, str(client.get_client_first()).encode()).decode())
    client.set_server_final(talker.answer(str(client.get_client_final()).encode()).decode())
    return talker.answer(b"")


def xoauth2(talker: Talker) -> bytes:
    return talker.auth("XOAUTH2", f"user={USER}\1auth=Bearer {TOKEN}\1\1".encode())


@pytest.mark.parametrize("kind", ["implicit", "starttls"])
@pytest.mark.parametrize(
    ("exchange", "shown", "result"),
    [
        (plain, ["AUTH PLAIN ****"], b"235"),
        (plain_in_two_steps, ["AUTH PLAIN", "****"], b"235"),
        (login, ["AUTH LOGIN", "****", "****"], b"235"),
        (login_with_user, ["AUTH LOGIN ****", "****"], b"235"),
        (cram_md5, ["AUTH CRAM-MD5", "****"], b"235"),
        (digest_md5, ["AUTH DIGEST-MD5", "****"], b"535"),
        (scram, ["AUTH SCRAM-SHA-256 ****", "****", "****"], b"235"),
        (xoauth2, ["AUTH XOAUTH2 ****"], b"454"),
    ],
)
def test_no_secret_of_an_exchange_is_in_the_log(
    server: Server, events: Events, exchange: object, shown: list[str], result: bytes, kind: str
) -> None:
    with Client(server, kind) as client:
        if kind == "starttls":
            client.say("EHLO client.example")
            client.start_tls()
        client.say("EHLO client.example")
        talker = Talker(client)
        assert callable(exchange)
        assert exchange(talker)[:3] == result
        client.say("QUIT")
    session = events.wait("connection")["session"]
    dialogue = events.all("dialogue")
    assert {event["session"] for event in dialogue} == {session}
    said = [event["line"] for event in dialogue]
    begin = said.index(f"C: {shown[0]}")
    assert [line[3:] for line in said[begin:] if line.startswith("C: ")] == [*shown, "QUIT"]
    log = "\n".join(server.log()).encode()
    assert [secret for secret in talker.sent if secret and secret != USER.encode() and secret in log] == []


def test_a_message_is_only_its_size(server: Server, events: Events) -> None:
    with Client(server) as client:
        client.log_in(USER, PASSWORD)
        assert client.submit(CONTENT, "dave@example.com").startswith(b"250 ")
        client.say("MAIL FROM:<carol@example.com>")
        client.say("RCPT TO:<dave@example.com>")
        client.send(b"BDAT %d\r\n" % len(CONTENT) + CONTENT)
        assert client.reply().startswith(b"250 ")
        assert client.say("BDAT 0 LAST").startswith(b"250 ")
        client.send(b"DATA\r\n" + CONTENT)  # which is refused, so that the lines of the message are commands
        client.say("QUIT")
    events.wait("connection")
    wait_until(lambda: "S: 221" in events.all("dialogue")[-1]["line"])
    said = [event["line"] for event in events.all("dialogue")]
    assert said.count(f"C: **** ({len(CONTENT) + 3} octets)") == 1
    assert said.count(f"C: **** ({len(CONTENT)} octets)") == 1
    assert "C: MAIL FROM:<carol@example.com>" in said
    assert any(line.startswith("S: 354 ") for line in said)
    assert not any(word in "\n".join(server.log()) for word in ("hunting", "oak"))


def test_without_it_nothing_is_shown(server: Server) -> None:
    server.stop()
    server.options = ()
    server.start()
    events = Events(server)
    with Client(server) as client:
        client.say("EHLO client.example")
        client.say("QUIT")
    events.wait("connection")
    server.stop()
    server.options = ("--debug",)
    server.start()
    assert not events.all("dialogue")
