"""An HTTP server with bounds: one request a connection, a few connections, little time and small headers.

h11 knows the protocol and does no input or output of its own; what is here are the connections and their limits. A
request's body is of no interest: nothing here can be changed by anybody. It is read, if it is small, for who still
sends would lose the answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

from submission import logs

MAX_CONNECTIONS = 32
"""Of more, the oldest has to go: who asks and reads is gone in milliseconds, so it is one that keeps others from it."""
MAX_REQUEST = 16 << 10
"""Octets of a request's line and header fields, READ more or less."""
READ = 4096
PATIENCE = 15.0
"""Seconds that a connection lasts, from its first octet to the last of the answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for. Names of header fields are in lower case, and of each there is the first."""

    method: str
    path: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """What it gets."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    fields: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves one listening socket, on one event loop."""

    def __init__(self, sock: socket.socket, answer: Answer) -> None:
        self._sock = sock
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._exchanges: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # the oldest first

    async def start(self) -> None:
        """Accept requests from now on."""
        self._server = await asyncio.start_server(self._accept, sock=self._sock, limit=MAX_REQUEST)

    def close(self) -> None:
        """Accept no more, and end what is under way."""
        if self._server is not None:
            self._server.close()
        for exchange in self._exchanges:
            exchange.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._exchanges) >= MAX_CONNECTIONS:
            oldest = next(iter(self._exchanges))
            oldest.cancel()
            self._exchanges.pop(oldest).transport.abort()  # which it doesn't itself if it hasn't begun
        exchange = asyncio.get_running_loop().create_task(self._exchange(reader, writer))
        self._exchanges[exchange] = writer
        exchange.add_done_callback(lambda done: self._exchanges.pop(done, None))

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                octets = await self._respond(h11.Connection(h11.SERVER, MAX_REQUEST), reader)
                if octets:
                    writer.write(octets)
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError):  # the client's affair
            pass
        finally:
            writer.transport.abort()

    async def _respond(self, connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
        """The octets that answer the request that comes; none where the client leaves instead."""
        try:
            request = await _read(connection, reader)
        except h11.RemoteProtocolError as error:
            return _encode(connection, Response(error.error_status_hint, b"This is no request.\n"))
        if request is None:
            return b""
        response = await self._try_to_answer(request)
        return _encode(connection, response, has_body=request.method != "HEAD")

    async def _try_to_answer(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one request, not the service
            logs.failure("internal-error", error)
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"An internal error, which the log tells of.\n")


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The request of a connection, None where it ends before. Raises h11.RemoteProtocolError."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(READ))
    if not isinstance(event, h11.Request):
        return None
    fields: dict[str, str] = {}
    for name, value in event.headers:
        fields.setdefault(name.decode("ascii"), value.decode("latin-1"))
    path = event.target.decode("ascii").partition("?")[0]
    await _skip_body(connection, reader)
    return Request(event.method.decode("ascii"), path, fields)


async def _skip_body(connection: h11.Connection, reader: asyncio.StreamReader) -> None:
    """Read what is left of the request, as far as it isn't larger than one may be."""
    size = 0
    while size <= MAX_REQUEST and type(event := connection.next_event()) is not h11.EndOfMessage:
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ))
        elif isinstance(event, h11.Data):
            size += len(event.data)
        else:
            return


def _encode(connection: h11.Connection, response: Response, *, has_body: bool = True) -> bytes:
    fields = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Connection": "close",
        **response.fields,
    }
    status = HTTPStatus(response.status)
    head = h11.Response(status_code=status, reason=status.phrase, headers=list(fields.items()))
    octets = connection.send(head) or b""
    return octets + response.body if has_body else octets
