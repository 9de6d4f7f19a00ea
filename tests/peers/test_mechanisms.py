"""Other people's SASL log in to the running service, by each mechanism that they know, and find out if it is another.

A whole message by each of these is what test_clients.py sends, with mail programs.
"""

from __future__ import annotations

import base64
import os
import socket
import subprocess

import pytest
from scramp import ScramClient

from submission.core.sasl import Challenge, Channel, FetchKeys, Need
from submission.core.sasl.registry import MECHANISMS
from submission.core.sasl.scram_keys import ITERATIONS, ScramKeys
from tests.support import programs
from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import PATIENCE
from tests.support.sample_client import SampleClient
from tests.support.server import HOSTNAME, Server, Settings
from tests.support.sink import Sink

USER = "dora"
PASSWORD = "p\u00e4ss, w=rd"
SCRAM = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"]
CYRUS = ["SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5", "LOGIN", "PLAIN"]
GSASL = ["SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5"]


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Without TLS for gsasl, which says STARTTLS before EHLO."""
    mechanisms = [name for name, mechanism in MECHANISMS.items() if mechanism.NEED is not Need.NOTHING]
    return {"auth": {"mechanisms": mechanisms, "require_tls": False}, "limits": {"auth_failures": 100}}


@pytest.fixture(scope="module", autouse=True)
def _user(server: Server) -> None:
    server.add_user(USER, PASSWORD)


def opened(server: Server, kind: str) -> Client:
    client = Client(server, kind)
    client.say("EHLO client.example")
    if kind == "starttls":
        client.start_tls()
        client.say("EHLO client.example")
    return client


def exchange(client: Client, mechanism: str, initial: bytes | None, *answers: object) -> bytes:
    """Say AUTH, answer each challenge by what a callable makes of it; the last reply."""
    words = [mechanism, *([] if initial is None else [base64.b64encode(initial).decode() or "="])]
    reply = client.say(f"AUTH {' '.join(words)}")
    for answer in answers:
        if not reply.startswith(b"334 "):
            break
        assert callable(answer)
        reply = client.say(base64.b64encode(answer(base64.b64decode(reply[4:]))).decode())
    return reply


def scram(client: Client, mechanism: str, password: str = PASSWORD, user: str = USER) -> bytes:
    """An exchange with scramp's client, which hashes the server's certificate by itself."""
    binding = ("tls-server-end-point", client.tls) if mechanism.endswith("-PLUS") else None
    return scram_with(client, mechanism, ScramClient([mechanism], user, password, channel_binding=binding))


def scram_with(client: Client, mechanism: str, scramp: ScramClient) -> bytes:
    def prove(challenge: bytes) -> bytes:
        scramp.set_server_first(challenge.decode())
        return str(scramp.get_client_final()).encode()

    def believe(challenge: bytes) -> bytes:
        scramp.set_server_final(challenge.decode())
        return b""

    return exchange(client, mechanism, str(scramp.get_client_first()).encode(), prove, believe)


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", SCRAM)
def test_scramp_logs_in(server: Server, events: Events, mechanism: str, kind: str) -> None:
    with opened(server, kind) as client:
        assert scram(client, mechanism, "another").startswith(b"535 5.7.8 ")
        assert scram(client, mechanism, user="mallory").startswith(b"535 5.7.8 ")
        assert scram(client, mechanism).startswith(b"235 2.7.0 ")
    assert [(event["result"], event["user"]) for event in events.all("auth")] == [
        ("fail", USER),
        ("fail", "mallory"),
        ("ok", f"{USER}@example.com"),
    ]


@pytest.mark.parametrize("mechanism", SCRAM[::2])
def test_who_saw_another_certificate_is_refused_though_the_password_is_right(
    server: Server, events: Events, mechanism: str
) -> None:
    """As is one who is passed on by somebody in the middle, who has a certificate that the client trusts."""
    binding = ("tls-server-end-point", bytes(32))
    with opened(server, "implicit") as client:
        scramp = ScramClient([mechanism], USER, PASSWORD, channel_binding=binding)
        assert scram_with(client, mechanism, scramp).startswith(b"535 5.7.8 ")
    assert events.wait("auth")["reason"] == "binding-refused"


def test_an_offer_that_lost_its_plus_on_the_way_is_noticed(server: Server, events: Events) -> None:
    with opened(server, "implicit") as client:
        scramp = ScramClient(["SCRAM-SHA-256"], USER, PASSWORD, channel_binding=("tls-server-end-point", client.tls))
        assert scram_with(client, "SCRAM-SHA-256", scramp).startswith(b"535 5.7.8 ")
    assert events.wait("auth")["reason"] == "binding-refused"


def test_what_binds_the_channel_is_not_offered_where_there_is_none(server: Server) -> None:
    with Client(server, "none") as client:
        assert b" SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 DIGEST-MD5\r\n" in client.say("EHLO client.example")
        scramp = ScramClient(["SCRAM-SHA-256"], USER, PASSWORD, channel_binding=("tls-server-end-point", bytes(32)))
        assert scram_with(client, "SCRAM-SHA-256", scramp).startswith(b"235 ")  # "y": it could, but we can't
    with Client(server, "none") as client:
        client.say("EHLO client.example")
        assert client.say("AUTH SCRAM-SHA-256-PLUS").startswith(b"538 5.7.11 ")


def test_a_session_that_is_resumed_is_offered_nothing_that_binds(server: Server) -> None:
    """The client holds the certificate of its first handshake, and that may have been renewed since."""
    context, session = server.client_context(), None
    for is_resumed in (False, True):
        plain = socket.create_connection(("127.0.0.1", server.ports["implicit"]), PATIENCE)
        with context.wrap_socket(plain, server_hostname=HOSTNAME, session=session) as client:
            with client.makefile("rwb") as stream:
                stream.readline()
                stream.write(b"EHLO client.example\r\n")
                stream.flush()
                offered = next(line for line in stream if b"AUTH" in line)
            assert client.session_reused is is_resumed
            assert (b"-PLUS" in offered) is not is_resumed
            assert b" SCRAM-SHA-256 " in offered
            session = client.session


@pytest.mark.parametrize("mechanism", CYRUS)
def test_cyrus_logs_in(server: Server, events: Events, mechanism: str) -> None:
    with opened(server, "implicit") as client, SampleClient(mechanism, USER, PASSWORD) as cyrus:
        reply = exchange(client, mechanism, cyrus.start(), *[cyrus.respond] * 3)
        assert reply.startswith(b"235 "), cyrus.said
        if mechanism not in ("LOGIN", "PLAIN", "CRAM-MD5"):  # where the server proves nothing
            assert cyrus.is_content(), cyrus.said
    event = events.wait("auth")
    assert (event["result"], event["mech"]) == ("ok", mechanism)


@pytest.mark.parametrize("mechanism", CYRUS)
def test_cyrus_with_a_wrong_password(server: Server, mechanism: str) -> None:
    with opened(server, "implicit") as client, SampleClient(mechanism, USER, "another") as cyrus:
        assert exchange(client, mechanism, cyrus.start(), *[cyrus.respond] * 3).startswith(b"535 5.7.8 ")


def iterated(cyrus: SampleClient, iterations: int) -> bytes:
    """Its answer to a server with keys of so many iterations."""
    mechanism = MECHANISMS["SCRAM-SHA-256"](Channel(b"nonce"))
    assert mechanism.start(cyrus.start()) == FetchKeys(USER, Need.SCRAM_SHA_256)
    challenge = mechanism.resolve(ScramKeys.derive(PASSWORD.encode(), Need.SCRAM_SHA_256, b"salt", iterations))
    assert isinstance(challenge, Challenge)
    return cyrus.respond(challenge.data)


def test_our_count_of_iterations_is_near_the_most_that_cyrus_takes() -> None:
    for iterations in (ITERATIONS, 65_536):
        with SampleClient("SCRAM-SHA-256", USER, PASSWORD) as cyrus:
            assert iterated(cyrus, iterations).startswith(b"c=biws,")
    with (
        SampleClient("SCRAM-SHA-256", USER, PASSWORD) as cyrus,
        pytest.raises(EOFError, match="iteration-count is too big"),
    ):
        iterated(cyrus, 65_537)


def gsasl(server: Server, mechanism: str, password: str) -> int:
    programs.require("gsasl")
    result = subprocess.run(
        [
            *("gsasl", "--smtp", "--connect", f"127.0.0.1:{server.ports['none']}", "--no-starttls"),
            *("--mechanism", mechanism, "--authentication-id", USER, "--password", password),
            *("--realm", "example.com", "--hostname", HOSTNAME, "--quiet"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        timeout=30,
    )
    return result.returncode


@pytest.mark.parametrize("mechanism", GSASL)
def test_gsasl_logs_in(server: Server, events: Events, mechanism: str) -> None:
    assert gsasl(server, mechanism, PASSWORD) == 0
    event = events.wait("auth")
    assert (event["result"], event["mech"]) == ("ok", mechanism)
    assert gsasl(server, mechanism, "another") != 0
