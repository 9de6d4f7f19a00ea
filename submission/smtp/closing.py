"""The end of a client's connection, at which the client is to get our last words.

A socket that is closed while octets lie unread resets the connection, and a client that is still sending may lose what
it hasn't read yet. So we close our side only, and go on reading what nobody wants, until the client closes too: for
a few seconds and a few octets, as many as a client sends that hasn't heard of the end yet. What TLS reads while it
waits for the client's half of its goodbye is bounded likewise (it is uvloop's TLS that waits; asyncio's own gives up at
the first octet of anything else).
"""

from __future__ import annotations

import asyncio
from typing import cast

MAX_UNWANTED = 1024 * 1024
"""Octets that are read from a client whose session is over."""


def part(transport: asyncio.Transport, carrier: asyncio.Transport | None) -> None:
    """Close a connection, once what was written is sent. `carrier` is what carries `transport`, where that is TLS.

    It ends by itself if the client does its part; otherwise it is the caller's to abort.
    """
    if transport.is_closing():
        return
    if carrier is None:
        transport.set_protocol(_Deaf(transport))
        transport.resume_reading()
        try:
            transport.write_eof()
        except OSError:  # it is gone, which asyncio has not told us yet
            transport.abort()
    else:
        carrier.set_protocol(_Bounded(carrier))
        transport.close()


class _Deaf(asyncio.Protocol):
    """Drops what arrives; the client's end of data closes the connection, which the protocol before gets to know."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._before = transport.get_protocol()
        self._left = MAX_UNWANTED

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)


class _Bounded(asyncio.BufferedProtocol):
    """Hands on to TLS what arrives, up to a limit."""

    def __init__(self, carrier: asyncio.Transport) -> None:
        self._carrier = carrier
        self._tls = cast("asyncio.BufferedProtocol", carrier.get_protocol())
        self._left = MAX_UNWANTED

    def get_buffer(self, sizehint: int) -> bytearray:
        return cast("bytearray", self._tls.get_buffer(sizehint))

    def buffer_updated(self, nbytes: int) -> None:
        self._left -= nbytes
        if self._left < 0:
            self._carrier.abort()
        else:
            self._tls.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        return self._tls.eof_received()

    def pause_writing(self) -> None:
        self._tls.pause_writing()

    def resume_writing(self) -> None:
        self._tls.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tls.connection_lost(exc)
