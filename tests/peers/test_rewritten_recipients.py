"""Who may send writes to whom he names, and to nobody whom sendmail might find in that name: the forms of
test_open_relay.py, from a client that has logged in, by a password or a certificate, from where somebody has read
mail, from one of the admin's own, and from a stranger who writes to a domain that this host is a backup for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.peers.test_open_relay import RECIPIENTS, SENDERS
from tests.support.client import Client
from tests.support.client_authority import ClientAuthority
from tests.support.granting import JOE, pop
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Sink

POP = {"enabled": True, "formats": ["dovecot"]}
BACKUP = {"pop_before_smtp": {**POP, "relay_domains": ["test.example"]}}
WAYS: dict[str, Settings] = {
    "login": {},
    "certificate": {
        "tls": {"client_ca": "../clients.pem"},
        "auth": {"certificate_login": True, "certificate": [{"user": USER, "subject": "CN=carol"}]},
    },
    "grant": {"pop_before_smtp": POP},
    "static": {"pop_before_smtp": {**POP, "static": ["127.0.0.1"]}},
    "backup": BACKUP,
    "backup, rewritten recipients allowed": {**BACKUP, "policy": {"rewritten_recipients": True}},
}
PLAIN = {
    "<victim@[127.0.0.1]>",
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
def settings(way: str, folder: Path) -> Settings:
    if way == "certificate":
        authority = ClientAuthority()
        (folder / "clients.pem").write_bytes(authority.pem)
        authority.issue(folder / "carol.pem", "CN=carol")
    return WAYS[way]


@pytest.fixture
def connect(way: str, server: Server, folder: Path) -> Callable[[], Client]:
    """Makes clients that may send."""
    if way == "certificate":
        return lambda: Client(server, "implicit", certificate=folder / "carol.pem")
    if way == "grant":
        pop(server, "add", JOE, "joe")
        return lambda: Client(server, "balanced-implicit", proxied_for=JOE)
    return lambda: Client(server, "implicit")


def test_nobody_reaches_more_than_he_names(way: str, connect: Callable[[], Client], sink: Sink) -> None:
    allowed = BACKED_UP if way.startswith("backup") else PLAIN
    for sender, recipient in itertools.product(SENDERS[:2], RECIPIENTS):
        with connect() as client:
            if way == "login":
                assert client.log_in(USER, PASSWORD).startswith(b"235 ")
            client.say("EHLO client.example")
            assert client.say(f"MAIL FROM:{sender}").startswith(b"250 "), sender
            heard = client.say(f"RCPT TO:{recipient}")
            assert heard[:1] == (b"2" if recipient in allowed else b"5"), (recipient, heard)
    octets = b"".join(bytes(connection.received) for connection in sink.connections)
    named = {line[8:].decode() for line in octets.split(b"\r\n") if line.startswith(b"RCPT TO:")}
    assert named == allowed
