"""Whoever is not entitled sends nothing, however he words it: the relay trusts us, so ours is the only gate.

The forms are those that testers of open relays try, each with each kind of sender; see RFC 5321 section 4.1.2 for
what of it is an address at all. What becomes of them in the mouth of who is entitled, test_rewritten_recipients.py has.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from submission.config import load
from submission.core.addresses import Login
from submission.core.grants import Grant
from submission.credentials import open_store
from submission.credentials.accounts import set_disabled
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState
from tests.peers.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.client_authority import ClientAuthority
from tests.support.network import free_port
from tests.support.server import KINDS, Server, Settings
from tests.support.sink import Sink

SENDERS = (
    "<>",
    "<stranger@remote.example>",
    "<alice@test.example>",
    "<carol@[127.0.0.1]>",
    "<carol@localhost>",
    "<carol>",
    "stranger@remote.example",
)
JOE, NEIGHBOUR, LATE, WITHDRAWN = "198.51.100.23", "198.51.100.24", "198.51.100.30", "198.51.100.31"
DISABLED, SHARED, DENIED, STATIC = "198.51.100.32", "198.51.100.65", "203.0.113.66", "203.0.113.7"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20, 0, 0)
"""A PROXY header by which a balancer speaks for itself."""

RECIPIENTS = (
    "<victim@remote.example>",
    "<victim%remote.example@[127.0.0.1]>",
    "<victim%remote.example@mail.example.com>",
    '<"victim@remote.example">',
    '<"victim%remote.example">',
    "<victim@remote.example@[127.0.0.1]>",
    '<"victim@remote.example"@[127.0.0.1]>',
    "<victim@remote.example@mail.example.com>",
    "<@[127.0.0.1]:victim@remote.example>",
    "<@mail.example.com:victim@remote.example>",
    "<remote.example!victim>",
    "<remote.example!victim@[127.0.0.1]>",
    "<remote.example!victim@mail.example.com>",
    "<victim@[127.0.0.1]>",
    "<victim@[192.0.2.1]>",
    "<victim@[IPv6:2001:db8::1]>",
    "<postmaster>",
    "<alice@test.example>",
    "victim@remote.example",
    " < victim@remote.example >",
)


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {
        "auth": {
            "require_tls": False,  # so that every listener offers something
            "mechanisms": ["SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL"],
            "certificate_login": True,
            "certificate": [{"user": user, "subject": f"CN={user}"} for user in ("disabled", "stranger")],
        },
        "limits": {"auth_failures": 20},  # a certificate is tried at each MAIL
        "tls": {"client_ca": "clients.pem"},
        "pop_before_smtp": {
            "enabled": True,
            "logs": [],
            "static": ["203.0.113.0/24"],
            "deny": [DENIED],
            "shared": [SHARED],
        },
    }


@pytest.fixture(scope="module")
def server(folder: Path, relay: Sink, settings: Settings) -> Iterator[Server]:
    """It knows a user, one who is disabled, one who has just read mail, and grants that are good for nothing."""
    server = Server(folder, relay.address, settings)
    authority = ClientAuthority()
    (folder / "clients.pem").write_bytes(authority.pem)
    for name in ("disabled", "stranger", "unlisted"):
        authority.issue(folder / f"{name}.pem", f"CN={name}")
    listeners = [server.listener(kind) for kind in server.ports]
    server.ports["IPv6"] = free_port()
    listeners.append({"address": f"[::1]:{server.ports['IPv6']}", "tls": "none"})
    server.configure({"listen": listeners})
    for user in (USER, "disabled"):
        server.add_user(user, PASSWORD)
    effective = load(server.configuration)
    with server:
        with contextlib.closing(open_store(effective.store.url)) as store:
            set_disabled(store, Login("disabled", "example.com"), is_disabled=True)
        with contextlib.closing(SqliteState(effective.state_dir / "state.db")) as state:
            _give_grants(GrantTable(state))
        yield server


def _give_grants(table: GrantTable) -> None:
    now = time.time()

    def grant(address: str, user: str = "joe", until: float = now + 3600) -> Grant:
        return Grant(address, f"{user}@example.com", "pop3", "dovecot", now, now, until)

    table.record(map(grant, (JOE, WITHDRAWN, DENIED, SHARED, "127.0.0.1", "::1")))
    table.record([grant(LATE, until=now - 1), grant(DISABLED, "disabled")])
    table.remove([grant(WITHDRAWN), grant("::1")])


@pytest.fixture(autouse=True)
def nothing_reaches_the_relay(server: Server, sink: Sink) -> Iterator[None]:
    yield
    assert {line[:4] for connection in sink.connections for line in connection.received.splitlines()} <= {b"EHLO"}


@pytest.fixture(params=[*KINDS, "starttls, used"])
def connect(request: pytest.FixtureRequest, server: Server) -> Callable[[], Client]:
    """Makes connections to a listener, of each kind in turn; the last kind is one on which TLS was started."""
    kind, _, is_used = request.param.partition(", ")

    def make() -> Client:
        client = Client(server, kind)
        if is_used:
            client.say("EHLO client.example")
            client.start_tls()
        return client

    return make


@pytest.mark.parametrize("sender", SENDERS)
def test_no_form_of_an_address_gets_through(sender: str, connect: Callable[[], Client]) -> None:
    for recipient in RECIPIENTS:
        with connect() as client:
            client.say("EHLO client.example")
            assert client.say(f"MAIL FROM:{sender}").startswith(b"530 5.7.0 "), recipient
            assert client.say(f"RCPT TO:{recipient}").startswith(b"503 5.5.1 "), recipient
            assert client.say("DATA").startswith(b"503 5.5.1 "), recipient
            client.send(f"MAIL FROM:{sender}\r\nRCPT TO:{recipient}\r\nBDAT 6 LAST\r\nQUIT\r\n".encode())
            assert [client.reply()[:10] for _ in range(3)] == [b"530 5.7.0 ", *[b"503 5.5.1 "] * 2], recipient


STRANGERS: dict[str, Callable[[Server], Client]] = {
    "the host itself, though a grant says so": lambda server: Client(server, "none"),
    "the host itself by IPv6": lambda server: Client(server, "IPv6", source="::1"),
    "a neighbour of who has read mail": lambda server: Client(server, "balanced-starttls", NEIGHBOUR),
    "a grant that is over": lambda server: Client(server, "balanced-starttls", LATE),
    "a grant that was taken back": lambda server: Client(server, "balanced-implicit", WITHDRAWN),
    "a grant whose user is disabled": lambda server: Client(server, "balanced-starttls", DISABLED),
    "a grant where many are behind one address": lambda server: Client(server, "balanced-starttls", SHARED),
    "a grant and a static network, but denied": lambda server: Client(server, "balanced-implicit", DENIED),
    "denied, in the form of IPv6": lambda server: Client(server, "balanced-starttls", f"::ffff:{DENIED}"),
    "a balancer that names itself": lambda server: Client(server, "balanced-starttls", "127.0.0.1"),
    "a balancer that names nobody": lambda server: Client(server, "balanced-starttls", b"PROXY UNKNOWN\r\n"),
    "a balancer for itself": lambda server: Client(server, "balanced-implicit", LOCAL),
    "a header of who is no balancer": lambda server: told(server, f"PROXY TCP4 {STATIC} 192.0.2.1 49152 587"),
    "a claim by XCLIENT": lambda server: told(server, f"XCLIENT ADDR={STATIC} LOGIN={USER}@example.com"),
    "a claim by XFORWARD": lambda server: told(server, f"XFORWARD ADDR={STATIC}"),
    "a claim to be local": lambda server: told(server, "EHLO localhost"),
    "a disabled login": lambda server: refused(server, "disabled", PASSWORD),
    "a wrong password": lambda server: refused(server, USER, "wrong"),
    "a certificate of a disabled login": lambda server: certified(server, "disabled"),
    "a certificate of a login that isn't there": lambda server: certified(server, "stranger"),
    "a certificate that isn't listed": lambda server: certified(server, "unlisted"),
}
"""Clients that are not entitled, by what they have nevertheless."""


def told(server: Server, line: str) -> Client:
    client = Client(server, "balanced-starttls", source="127.0.0.9")
    client.say(line)
    return client


def refused(server: Server, user: str, password: str) -> Client:
    client = Client(server, "none")
    assert client.log_in(user, password).startswith(b"535 5.7.8 ")
    return client


def certified(server: Server, name: str) -> Client:
    return Client(server, "implicit", certificate=server.folder / f"{name}.pem")


@pytest.mark.parametrize("stranger", STRANGERS)
def test_nor_does_anybody_who_is_not_entitled(stranger: str, server: Server) -> None:
    for recipient in RECIPIENTS:
        with STRANGERS[stranger](server) as client:
            client.say("EHLO client.example")
            for sender in SENDERS if recipient == RECIPIENTS[0] else SENDERS[:2]:
                assert client.say(f"MAIL FROM:{sender}").startswith(b"530 5.7.0 "), sender
            assert client.say(f"RCPT TO:{recipient}").startswith(b"503 5.5.1 "), recipient
            assert client.say("BDAT 0 LAST").startswith(b"503 5.5.1 "), recipient


@pytest.mark.parametrize("hello", ["EHLO client.example", "HELO client.example", "EHLO localhost"])
def test_nor_does_haste(hello: str, connect: Callable[[], Client]) -> None:
    with connect() as client:
        client.send(f"{hello}\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@remote.example>\r\nDATA\r\n.\r\n".encode())
        assert [client.reply()[:3] for _ in range(5)] == [b"250", b"530", b"503", b"503", b"500"]


@pytest.mark.parametrize("last", ["", " LAST"])
@pytest.mark.parametrize("hello", ["EHLO client.example", "HELO client.example"])
def test_nor_does_what_is_said_inside_a_chunk(hello: str, last: str, connect: Callable[[], Client]) -> None:
    inside = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@remote.example>\r\nDATA\r\n\r\n.\r\n"
    envelope = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@remote.example>\r\n"
    chunk = f"BDAT {len(inside)}{last}\r\n".encode() + inside
    with connect() as client:
        client.send(chunk + hello.encode() + b"\r\n" + envelope + chunk + b"BDAT 0 LAST\r\nNOOP\r\n")
        assert [client.reply()[:3] for _ in range(7)] == [b"503", b"250", b"530", b"503", b"503", b"503", b"250"]


def test_nor_does_silence_before_it(connect: Callable[[], Client]) -> None:
    with connect() as client:
        assert client.say("MAIL FROM:<a@example.com>").startswith(b"503 ")


def test_a_claim_to_be_somebody_is_no_proof(connect: Callable[[], Client]) -> None:
    with connect() as client:
        client.say("EHLO client.example")
        assert client.say(f"MAIL FROM:<{USER}@example.com> AUTH={USER}@example.com").startswith(b"530 ")


@pytest.mark.parametrize("response", ["", "*", "=", "AGNhcm9sAHdyb25n", "Y2Fyb2wgMDA="])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_login_that_failed_is_none(mechanism: str, response: str, connect: Callable[[], Client]) -> None:
    with connect() as client:
        client.say("EHLO client.example")
        heard = client.say(f"AUTH {mechanism}")
        while heard.startswith(b"334 "):
            heard = client.say(response)
        assert heard[:1] == b"5"
        assert client.say("MAIL FROM:<>").startswith(b"530 ")


def test_a_login_before_tls_is_forgotten(server: Server) -> None:
    with Client(server, "starttls") as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        client.start_tls()
        client.say("EHLO client.example")
        assert client.say("MAIL FROM:<>").startswith(b"530 ")


def test_a_login_is_good_for_its_own_connection_only(server: Server, connect: Callable[[], Client]) -> None:
    with Client(server) as client, connect() as stranger:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        stranger.say("EHLO client.example")
        assert stranger.say("MAIL FROM:<>").startswith(b"530 ")


@pytest.mark.parametrize("kind", ["starttls", "balanced-starttls"])
def test_what_is_put_behind_starttls_comes_to_nothing(kind: str, server: Server) -> None:
    """By somebody on the way, in the same packet or just before the handshake (CVE-2011-0411)."""
    said = b"MAIL FROM:<eve@example.org>\r\nRCPT TO:<victim@remote.example>\r\nDATA\r\n"
    for behind in (said, b"\r\n", b"\n", b"M", b"\0", b"\x16\x03\x01"):
        with Client(server, kind, NEIGHBOUR if kind != "starttls" else "") as client:
            client.say("EHLO client.example")
            client.send(b"STARTTLS\r\n" + behind)
            assert client.reply().startswith(b"501 5.5.1 "), behind
            assert client.reply() == b"", behind
    with Client(server, kind, NEIGHBOUR if kind != "starttls" else "") as client:
        client.say("EHLO client.example")
        assert client.say("STARTTLS").startswith(b"220 ")
        client.send(said)
        assert client.rest() in (b"", b"\x15\x03\x03\x00\x02\x02\x46")  # an alert of TLS: protocol version
