"""Who may send writes to whom he names, and to nobody whom sendmail might find in that name: the forms of
test_open_relay.py, from a client that has logged in, from one of the admin's own, and from a stranger who writes to a
domain that this host is a backup for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.peers.test_open_relay import RECIPIENTS, SENDERS
from tests.support.client import Client
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Sink

POP = {"enabled": True, "formats": ["dovecot"]}
WAYS = {"login": {}, "static": {"static": ["127.0.0.1"]}, "backup": {"relay_domains": ["test.example"]}}
PLAIN = {
    "<victim@remote.example>",
    "<victim@[192.0.2.1]>",
    "<victim@[IPv6:2001:db8::1]>",
    "<postmaster>",
    "<alice@test.example>",
}
"""Those that mean what they say."""
BACKED_UP = {"<alice@test.example>"}


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(way: str) -> Iterator[Path]:
    """One for each way, for each has a server of its own."""
    with public_folder() as path:
        yield path


@pytest.fixture(scope="module")
def settings(way: str) -> Settings:
    return {"pop_before_smtp": {**POP, **WAYS[way]}} if WAYS[way] else {}


def test_nobody_reaches_more_than_he_names(way: str, server: Server, sink: Sink) -> None:
    allowed = BACKED_UP if way == "backup" else PLAIN
    for sender, recipient in itertools.product(SENDERS[:2], RECIPIENTS):
        with Client(server, "implicit") as client:
            if way == "login":
                assert client.log_in(USER, PASSWORD).startswith(b"235 ")
            client.say("EHLO client.example")
            assert client.say(f"MAIL FROM:{sender}").startswith(b"250 "), sender
            heard = client.say(f"RCPT TO:{recipient}")
            assert heard[:1] == (b"2" if recipient in allowed else b"5"), (recipient, heard)
    octets = b"".join(bytes(connection.received) for connection in sink.connections)
    named = {line[8:].decode() for line in octets.split(b"\r\n") if line.startswith(b"RCPT TO:")}
    assert named == allowed
