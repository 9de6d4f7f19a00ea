from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from submission import logs
from submission.metrics import http
from submission.metrics.http import HttpServer, Request, Response
from tests.support.monitored import parse


async def echo(request: Request) -> Response:
    if request.path == "/fault":
        raise RuntimeError("a fault of ours")
    return Response(200, f"{request.method} {request.path} {request.fields.get('x', '')}".encode())


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    sock = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(sock, echo)
    await server.start()
    try:
        yield sock.getsockname()[1]
    finally:
        server.close()


async def ask(port: int, octets: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_request_is_answered_and_the_connection_closed() -> None:
    async with serving() as port:
        answered = parse(await ask(port, b"GET /a/b?c=d HTTP/1.1\r\nHost: h\r\nX: 1\r\nX: 2\r\n\r\nGET / HTTP/1.1\r\n"))
    assert (answered.status, answered.body) == (200, b"GET /a/b 1")


async def test_head_gets_everything_but_the_body() -> None:
    async with serving() as port:
        answered = parse(await ask(port, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"))
    assert (answered.status, answered.body, answered.fields["content-length"]) == (200, b"", "7")


@pytest.mark.parametrize("size", [0, 3, 2 * http.READ, 2 * http.MAX_REQUEST])
async def test_a_body_is_of_no_interest(size: int) -> None:
    head = f"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode()
    async with serving() as port:
        answered = parse(await ask(port, head + b"x" * size))
    assert (answered.status, answered.body) == (200, b"POST /a ")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nBad Name: 1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 2 * http.MAX_REQUEST + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 2 * http.MAX_REQUEST, 431),
    ],
)
async def test_what_is_no_request_is_refused(octets: bytes, status: int) -> None:
    async with serving() as port:
        assert parse(await ask(port, octets)).status == status


async def test_a_fault_of_ours_ends_one_request_and_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logs, "failure", lambda name, error: told.append(f"{name} {error}"))
    async with serving() as port:
        answered = parse(await ask(port, b"GET /fault HTTP/1.1\r\nHost: h\r\n\r\n"))
        assert answered.status == 500
        assert b"fault of" not in answered.body
        assert parse(await ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
    assert told == ["internal-error a fault of ours"]


async def test_who_is_silent_is_dropped_and_the_first_of_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.5)
    async with serving() as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(http.MAX_CONNECTIONS)]
        silent[0][1].write(b"GET / HTTP/1.1\r\nHost: ")  # a beginning is no request either
        assert parse(await ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
        with contextlib.suppress(ConnectionError):
            assert await silent[0][0].read() == b""
        async with asyncio.timeout(20):
            for idle, _ in silent:
                with contextlib.suppress(ConnectionError):
                    assert await idle.read() == b""
        for _, idle_writer in silent:
            idle_writer.close()
        assert parse(await ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
