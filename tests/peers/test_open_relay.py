"""Whoever has not authenticated sends nothing, however he words it: the relay trusts us, so ours is the only gate.

The forms are those that testers of open relays try, each with each kind of sender; see RFC 5321 section 4.1.2 for
what of it is an address at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support.client import Client
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
    return {"auth": {"require_tls": False}}  # so that every listener offers something


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
