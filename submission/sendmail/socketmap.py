"""sendmail's socketmap: it asks, for each recipient, whether the client's address may relay (map class `socket`).

    query   15:popip 192.0.2.50,       a netstring: the map's name, a blank, the key in lower case
    answer  20:OK alice@example.com,   or `NOTFOUND `, or `TEMP why`

An IPv6 address comes with its tag, `ipv6:2001:db8:0:0:0:0:0:50`. A sendmail process connects at its first question and
keeps the connection for its session. It waits up to half a minute for an answer, so the answer is given at once, from
memory. Where we have none, sendmail is told so (TEMP), and it refuses for now: the rules that are shipped fail closed.

Queries are bounded in length, connections in number and in idle time; what isn't a query ends the connection.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from submission import logs
from submission.state import StateUnavailableError

MAX_QUERY = 512
"""Octets; sendmail's own map names and keys are far shorter."""
MAX_CONNECTIONS = 512
IDLE = 3600.0
"""Seconds; a session of sendmail's that asks nothing for so long can connect anew."""

Find = Callable[[str], str | None]
"""From an address, as in `str(ip_address(...))`, to the user who may relay from there, or None.

Raises StateUnavailableError, of which the log knows.
"""
Note = Callable[[str], None]
"""Told an address from which somebody relays, once for each connection of theirs."""

_UNREADABLE = "TEMP the relay table can't be read"
_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,3}):")
_SAFE = re.compile(r"[!-~]{1,320}")


class SocketMap:
    """Answers on one listening socket."""

    def __init__(self, sock: socket.socket, find: Find, note: Note) -> None:
        self._sock = sock
        self._find = find
        self._note = note
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Accept from now on."""
        loop = asyncio.get_running_loop()
        create: Any = loop.create_server
        options: dict[str, object] = {"sock": self._sock}
        if self._sock.family == socket.AF_UNIX:
            create = loop.create_unix_server
            if sys.version_info >= (3, 13):
                options["cleanup_socket"] = False  # the path is our successor's, too
        self._server = await create(lambda: _Connection(self._find, self._note, self._connections), **options)

    def close(self) -> None:
        """Stop accepting, and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end()


class _Connection(asyncio.Protocol):
    """One process of sendmail's."""

    def __init__(self, find: Find, note: Note, connections: set[_Connection]) -> None:
        self._find = find
        self._note = note
        self._is_noted = False
        self._connections = connections
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._connections) >= MAX_CONNECTIONS:
            logs.event("socketmap", result="refused", reason="too many connections")
            self._transport.abort()
            return
        self._connections.add(self)
        self._wait()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (query := self._take()) is not None:
                self._answer(query)
        except ValueError as error:
            logs.event("socketmap", result="refused", reason=str(error))
            self.end()
            return
        self._wait()

    def pause_writing(self) -> None:
        """Whoever takes no answers is not asking: sendmail waits for each."""
        self.end()

    def end(self) -> None:
        """Close the connection; what it asked meanwhile stays unanswered, which sendmail takes for a refusal."""
        if self._transport is not None:
            self._transport.abort()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE, self.end)

    def _take(self) -> bytes | None:
        """The next whole query off the buffer, None where it isn't there yet. Raises ValueError for no netstring."""
        length = _LENGTH.match(self._buffer)
        if length is None:
            if len(self._buffer) > 4 or (self._buffer and not self._buffer.isdigit()):
                raise ValueError("not a netstring")
            return None
        size, start = int(length[1]), length.end()
        if size > MAX_QUERY:
            raise ValueError("a query that is too long")
        if len(self._buffer) <= start + size:
            return None
        if self._buffer[start + size : start + size + 1] != b",":
            raise ValueError("a netstring that doesn't end with its comma")
        query, self._buffer = self._buffer[start : start + size], self._buffer[start + size + 1 :]
        return query

    def _answer(self, query: bytes) -> None:
        name, blank, key = query.decode("ascii", "replace").partition(" ")
        if not blank:
            raise ValueError("a query without a key")
        try:
            address = parse_key(key)
            user = self._find(address) if address else None
            if user is not None and not self._is_noted:
                self._is_noted = True
                self._note(address)
        except StateUnavailableError:
            answer = _UNREADABLE
        except Exception as error:  # noqa: BLE001 - whatever is wrong with us, sendmail has to be told at once
            logs.failure("internal-error", error, map=name)
            answer = _UNREADABLE
        else:
            answer = "NOTFOUND " if user is None else f"OK {user if _SAFE.fullmatch(user) else 'user'}"
        assert self._transport is not None
        self._transport.write(f"{len(answer)}:{answer},".encode())


def parse_key(key: str) -> str:
    """The address that sendmail asks about, in its usual form; empty where it asks about none (a local submission)."""
    try:
        address = ip_address(key.removeprefix("ipv6:"))
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return ""
        return str(address.ipv4_mapped or address)
    return str(address)
