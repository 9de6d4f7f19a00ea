"""A PROXY header taken off a client's stream, on real sockets and both event loops; the test holds the balancer's end.

What a session makes of it is told in tests/dialogues/proxy.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from ipaddress import ip_address
from typing import Any, cast

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from submission.core.proxy_header import ProxyHeader, ProxyHeaderError
from submission.smtp import proxy_header as module
from submission.smtp.proxy_header import read_header
from submission.smtp.stream import ClientStream

LINE = b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\r\n"
OCTETS = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\5\xc0\0\2\1\xc0\0\2\x4b\4\0\1x"
CLIENT = ip_address("203.0.113.5")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

Test = Callable[[], Coroutine[Any, Any, None]]
Run = Callable[[Test], None]


class Protocol(asyncio.Protocol):
    """What a session's callbacks do, and nothing else."""

    stream: ClientStream

    def __init__(self, patience: float) -> None:
        self.patience = patience

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.stream = ClientStream(asyncio.get_running_loop(), cast("asyncio.Transport", transport), self.patience)

    def data_received(self, data: bytes) -> None:
        self.stream.feed(data)

    def eof_received(self) -> bool:
        self.stream.feed_end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.stream.feed_loss()


@contextlib.asynccontextmanager
async def connected(patience: float = 30.0) -> AsyncIterator[tuple[ClientStream, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, protocol = await asyncio.get_running_loop().create_connection(lambda: Protocol(patience), sock=ours)
    with theirs:
        try:
            yield protocol.stream, theirs
        finally:
            transport.abort()
            while not protocol.stream.is_lost:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test on an event loop of this kind."""

    def run(test: Test) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(test())

    return run


@given(st.sampled_from([LINE, OCTETS]), st.binary(max_size=30), st.data())
async def test_however_it_is_cut_it_is_taken_off_and_no_octet_more(
    header: bytes, behind: bytes, data: st.DataObject
) -> None:
    octets = header + behind
    places = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=6)))
    async with connected() as (stream, _):
        reading = asyncio.ensure_future(read_header(stream))
        for start, end in zip([0, *places], [*places, len(octets)], strict=True):
            if octets[start:end]:
                stream.feed(octets[start:end])
            for _ in range(3):
                await asyncio.sleep(0)  # the reader sees this piece before the next
        assert await reading == ProxyHeader(len(header), CLIENT)
        assert bytes(stream._input) == behind


@given(st.binary(max_size=60), st.sampled_from([b"", LINE[:20], OCTETS[:20]]))
async def test_whatever_comes_it_is_an_error_by_the_end(octets: bytes, beginning: bytes) -> None:
    async with connected() as (stream, balancer):
        balancer.sendall(beginning + octets)
        balancer.shutdown(socket.SHUT_WR)
        with pytest.raises(ProxyHeaderError):
            await read_header(stream)


def test_over_a_socket(run: Run) -> None:
    async def test() -> None:
        async with connected() as (stream, balancer):
            balancer.sendall(LINE + b"EHLO client.example\r\n")
            assert (await read_header(stream)).client == CLIENT
            assert await stream.line(100) == b"EHLO client.example"
            balancer.sendall(b"NOOP\r\n")
            assert await stream.line(100) == b"NOOP"

    run(test)


def test_a_balancer_that_closes_too_early(run: Run) -> None:
    async def test() -> None:
        async with connected() as (stream, balancer):
            balancer.sendall(LINE[:-1])
            balancer.close()
            with pytest.raises(ProxyHeaderError, match="only 43 octets, closed by the client"):
                await read_header(stream)

    run(test)


def test_the_time_is_for_the_whole_header_not_for_each_octet(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADER_TIMEOUT", 0.1)

    async def dribble(balancer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            balancer.sendall(b"PROXY UNKNOWN ")
            while True:
                await asyncio.sleep(0.02)
                balancer.sendall(b"x")

    async def test() -> None:
        async with connected() as (stream, balancer):
            dribbling = asyncio.ensure_future(dribble(balancer))
            with pytest.raises(ProxyHeaderError, match=r"only \d+ octets in time"):
                await read_header(stream)
            dribbling.cancel()

    run(test)


async def test_a_client_s_time_may_be_shorter() -> None:
    async with connected(patience=0.01) as (stream, _):
        with pytest.raises(ProxyHeaderError, match="only 0 octets in time"):
            await read_header(stream)


async def test_its_own_deadline_is_over_with_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADER_TIMEOUT", 0.05)
    async with connected() as (stream, balancer):
        balancer.sendall(LINE)
        await read_header(stream)
        waiting = asyncio.ensure_future(stream.line(100))
        assert await asyncio.wait([waiting], timeout=0.2) == (set(), {waiting})
        balancer.sendall(b"NOOP\r\n")
        assert await waiting == b"NOOP"
