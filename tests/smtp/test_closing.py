"""How a connection ends for clients that go on sending: with the service, on each event loop, with and without TLS."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest

from submission.core import replies
from submission.smtp.closing import MAX_UNWANTED
from submission.smtp.stream import MAX_SKIPPED
from tests.support.server import Server, public_folder

IN_BUFFERS = 16 << 20
"""Octets that the kernel may hold at both ends of a connection, beside those that were read."""
FLOOD = 20 * IN_BUFFERS

pytestmark = pytest.mark.parametrize("kind", ["none", "implicit"])


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with public_folder() as folder, pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            (folder / "without").mkdir()
            (folder / "without" / "uvloop.py").write_text("raise ImportError")
            patch.setenv("PYTHONPATH", str(folder / "without"))
        with Server(folder, "127.0.0.1:1") as server:
            yield server


def flood(sock: socket.socket) -> int:
    """How many octets can be sent before the connection breaks. TimeoutError where nobody reads them, nor breaks it."""
    sent = 0
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while sent < FLOOD:
            sent += sock.send(b"x" * 65536)
    return sent


def receive_all(sock: socket.socket) -> bytes:
    received = b""
    while octets := sock.recv(65536):
        received += octets
    return received


def test_a_client_that_is_still_sending_gets_the_last_words(server: Server, kind: str) -> None:
    if kind == "implicit" and (server.folder / "without").exists():
        pytest.xfail("asyncio's own TLS drops the connection where it meets more than the client's goodbye")
    with server.connect(kind) as sock:
        sock.sendall(b"EHLO client.example\r\nBDAT 999999999\r\n" + b"x" * (MAX_UNWANTED // 2))
        assert receive_all(sock).endswith(replies.MAIL_FIRST.encode())


@pytest.mark.parametrize("last", [b"QUIT\r\n", b"EHLO client.example\r\nBDAT 999999999\r\n", b"endless"])
def test_a_client_that_does_not_stop_is_not_read_for_ever(server: Server, kind: str, last: bytes) -> None:
    """Regression: TLS was read for two seconds at full speed, and a line without end for five minutes."""
    with server.connect(kind) as sock:
        sock.sendall(last)
        assert flood(sock) <= MAX_UNWANTED + MAX_SKIPPED + IN_BUFFERS
