"""TLS handshakes of the clients that there are: quick, slow, broken off. None harms another client."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct

import pytest

from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import PATIENCE
from tests.support.server import HOSTNAME, Server, Settings
from tests.support.sink import Sink

COUNT = 30


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"limits": {"connections_per_ip": COUNT // 2}}


def hello(server: Server) -> bytes:
    """What a client says first."""
    outgoing = ssl.MemoryBIO()
    client = server.client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOSTNAME)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("has_waited", [False, True])
def test_a_handshake_is_answered_whenever_it_begins(has_waited: bool, server: Server) -> None:
    """Regression: what had arrived before the service put TLS in place was lost."""
    first = hello(server)
    for _ in range(COUNT):
        with socket.create_connection(("127.0.0.1", server.ports["implicit"]), PATIENCE) as sock:
            if has_waited:
                with Client(server, "none"):
                    pass  # the service has had time for the connection that waits
            sock.sendall(first)
            assert sock.recv(1) == b"\x16"


@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x01\x02\x00\x01", b"EHLO client.example\r\n"])
@pytest.mark.parametrize("kind", ["starttls", "implicit"])
def test_connections_that_end_in_the_handshake_are_forgotten(
    kind: str, beginning: bytes, is_reset: bool, server: Server, events: Events
) -> None:
    """Regression: they counted as open for ever, until there was no room for any other."""
    for _ in range(COUNT):
        with socket.create_connection(("127.0.0.1", server.ports[kind])) as sock, sock.makefile("rb") as stream:
            if kind == "starttls":
                stream.readline()
                sock.sendall(b"EHLO client.example\r\n")
                while stream.readline()[3:4] == b"-":
                    pass
                sock.sendall(b"STARTTLS\r\n")
                assert stream.readline().startswith(b"220 ")
            sock.sendall(beginning)
            if is_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with Client(server, "none") as client:
            assert client.greeting.startswith(b"220 ")
    assert events.all("internal-error") == []
