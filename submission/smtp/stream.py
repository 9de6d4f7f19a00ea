"""The octets of one client: lines and chunks in, replies out, all of it bounded in size and time.

The session pulls. What arrives is buffered up to a limit, beyond which the socket isn't read any more, so a client is
never ahead of us by more than that, whatever it sends. Replies collect until the session has to wait for input
(RFC 2920 section 3.1: one packet for the answers to one batch of commands); then they are flushed, and a client that
doesn't take them is waited for no longer than one that doesn't speak.

Nothing here cancels the session when the client leaves: its reads and waits raise ClientGoneError, and a relay's
answer that the session is waiting for is awaited all the same.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import cast

from submission.deadline import Deadline
from submission.smtp import closing

HIGH_WATER = 128 * 1024
"""Octets buffered before the socket is left unread."""
MAX_OUTPUT = 64 * 1024
"""Octets of replies that wait for the client before the session does."""
MAX_SESSION = 24 * 3600.0
"""Seconds that a connection lasts, however slowly it goes on: each octet in time renews the other deadlines."""
TLS_TIMEOUT = 30.0
"""Seconds for a handshake."""
TLS_SHUTDOWN = 2.0
"""Seconds for the client's half of TLS's goodbye; what we had to say is sent by then."""
CLOSE_TIMEOUT = 10.0
"""Seconds that a client has for taking our last words."""
LINGER = 2.0
"""Seconds that it has for closing its side, where these are on their way already."""
MAX_SKIPPED = 1024 * 1024
"""Octets that are read of a line without end."""

_LINE = re.compile(rb"([^\x00-\x1f\x7f]*+)\r\n")
"""One without control characters, which are never part of a command (RFC 5321 section 4.1.2)."""


class ClientGoneError(Exception):
    """The client closed, or the connection broke."""


class ClientIdleError(Exception):
    """The client let its time run out."""


class BadLineError(Exception):
    """A line that is no command: too long, ended by LF alone, or holding controls. It was taken off the buffer."""

    def __init__(self, text: str, *, is_too_long: bool = False, is_endless: bool = False) -> None:
        super().__init__(text)
        self.is_too_long = is_too_long
        self.is_endless = is_endless


class ForeignProtocolError(Exception):
    """What arrived is not SMTP; the text names it."""


class ClientStream:
    """What the session reads from and writes to; the protocol's callbacks feed it.

    `timeout` is in seconds: for a whole line, for the next chunk of a message, for taking what was flushed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, timeout: float) -> None:
        self._loop = loop
        self.transport = transport
        self._carrier: asyncio.Transport | None = None  # what carries `transport` once that is TLS
        self.timeout = timeout
        self._input = bytearray()
        self._output: list[bytes] = []
        self._output_size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._has_ended = False  # no more input: the client closed its side
        self.is_lost = False  # no more output either
        self._is_full = False  # the transport asked us to stop writing
        self._is_held = False  # we asked the transport to stop reading
        self._is_closing = False
        self._is_late = False  # the deadline of what is waited for is over
        self._skipped = 0  # octets so far of a line that is longer than a line may be
        self._deadline = Deadline(loop, self._expire)
        self._end = loop.time() + MAX_SESSION

    # The session's side

    @property
    def has_input(self) -> bool:
        """Whether octets of the client are waiting to be read."""
        return bool(self._input)

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF, or None where it isn't complete yet.

        `limit` is in octets, CRLF included; of a longer line nothing is kept. Raises BadLineError once such a line is
        over, ForeignProtocolError for what a TLS client says first (RFC 8446 section 5.1: handshake, version 3).
        """
        if not self._input:  # one time in two
            return None
        match = _LINE.match(self._input)
        if match is None or match.end() > limit or self._skipped:
            self._refuse_line(limit)
            return None
        line = match[1]
        del self._input[: match.end()]
        self._resume()
        return line

    def _refuse_line(self, limit: int) -> None:
        """What take_line does where no good line is there, or none yet."""
        newline = self._input.find(b"\n")
        length = newline + 1 or len(self._input)
        if length <= limit and not self._skipped and self._input.startswith(b"\x16\x03"):
            raise ForeignProtocolError("TLS")
        if newline < 0 and length <= limit:
            return
        del self._input[:length]
        self._resume()
        if newline < 0:
            self._skipped += length
            if self._skipped > MAX_SKIPPED:
                raise BadLineError("without end", is_too_long=True, is_endless=True)
        elif self._skipped or length > limit:
            self._skipped = 0
            raise BadLineError("too long", is_too_long=True)
        else:
            raise BadLineError("control characters")

    async def line(self, limit: int) -> bytes:
        """The next line; what was written so far is flushed before waiting for it."""
        line = self.take_line(limit)
        if line is None:
            await self.flush()
            self._set_deadline()
            while (line := self.take_line(limit)) is None:  # it may have come while the client took its replies
                await self._more()
        return line

    async def chunk(self, limit: int = HIGH_WATER * 2) -> bytes:
        """Whatever has arrived, one octet at least and `limit` at most; doesn't flush."""
        if not self._input:
            self._set_deadline()
            await self._more()
        if len(self._input) <= limit:
            chunk = bytes(self._input)
            self._input.clear()
        else:
            chunk = bytes(memoryview(self._input)[:limit])
            del self._input[:limit]
        self._resume()
        return chunk

    def give_back(self, data: bytes) -> None:
        """Put octets before those that wait to be read."""
        self._input[:0] = data

    def write(self, data: bytes) -> None:
        """Put octets into the batch that the next flush sends."""
        self._output.append(data)
        self._output_size += len(data)

    @property
    def must_flush(self) -> bool:
        """Whether so much waits to be sent that nothing more should be added."""
        return self._output_size > MAX_OUTPUT

    async def flush(self) -> None:
        """Send what was written, and wait while the client takes none. Raises ClientGoneError, ClientIdleError."""
        self._send()
        if self._is_full:
            self._set_deadline()
            while self._is_full:
                await self._wait()

    async def pause(self, seconds: float) -> None:
        """Let time go by, with what was written sent. Raises ClientGoneError as soon as the client leaves."""
        await self.flush()
        end = self._loop.time() + seconds
        self._deadline.set(seconds + self.timeout)
        timer = self._loop.call_later(seconds, self._wake)
        try:
            while self._loop.time() < end:
                if self._has_ended:
                    raise ClientGoneError("closed by the client")
                await self._wait()
        finally:
            timer.cancel()

    async def start_tls(self, context: ssl.SSLContext, protocol: asyncio.Protocol) -> None:
        """Put TLS between; what is buffered begins the handshake. Raises ClientGoneError if it fails.

        Something may be buffered although `hold` was called at once: uvloop starts to read after connection_made,
        whether it was told to pause or not.
        """
        if self._has_ended:  # which TLS would not be told, and wait for
            self.transport.abort()
            raise ClientGoneError("TLS handshake: closed by the client")
        self._is_held = True  # until there is a transport to tell it: of TLS, and not what carries that
        handshake = self._loop.create_task(
            self._loop.start_tls(
                self.transport,
                protocol,
                context,
                server_side=True,
                ssl_handshake_timeout=TLS_TIMEOUT,
                ssl_shutdown_timeout=TLS_SHUTDOWN,
            )
        )
        # In this order: its first step takes our place as the protocol and queues what opens it and what reads on;
        # behind these, but before anything is read, it gets what we have.
        self._loop.call_soon(self._loop.call_soon, self._pass_on, self.transport)
        try:
            transport = await handshake
        except OSError as error:  # ssl.SSLError among them; a handshake that failed closes the transport
            raise ClientGoneError(f"TLS handshake: {error}") from error
        if transport is None or transport.get_extra_info("ssl_object") is None:
            raise ClientGoneError("TLS handshake: connection lost")
        self._carrier, self.transport = self.transport, transport
        self._is_held = len(self._input) > HIGH_WATER
        if self._is_held:
            self.transport.pause_reading()

    def _pass_on(self, transport: asyncio.Transport) -> None:
        """Give TLS what arrived before it was there."""
        tls = cast("asyncio.BufferedProtocol", transport.get_protocol())
        while self._input and not transport.is_closing():
            room = memoryview(tls.get_buffer(len(self._input)))
            count = min(len(room), len(self._input))
            room[:count] = self._input[:count]
            del self._input[:count]
            tls.buffer_updated(count)

    def hold(self) -> None:
        """Read nothing more from the socket until start_tls, which reads on."""
        self.transport.pause_reading()

    def interrupt(self, error: Exception) -> None:
        """Let the wait for this client, if there is one now, raise `error`."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def close(self) -> None:
        """Send what was written, as far as the client takes it in a moment, and close (closing.py).

        What the client has sent ahead is dropped: nobody reads it any more.
        """
        self._input.clear()
        if self.is_lost:
            self._deadline.close()  # a wait that was refused had set it
        if self.is_lost or self._is_closing:
            return
        self._send()
        self._is_closing = True
        self._deadline.set(CLOSE_TIMEOUT if self.transport.get_write_buffer_size() else LINGER)
        if self._has_ended:
            self.transport.close()
        else:
            closing.part(self.transport, self._carrier)

    # The protocol's side

    def feed(self, data: bytes) -> None:
        """Take octets that arrived."""
        self._input += data
        if len(self._input) > HIGH_WATER and not self._is_held:
            self._is_held = True
            self.transport.pause_reading()
        self._wake()

    def feed_end(self) -> None:
        """Learn that the client sends no more."""
        self._has_ended = True
        self._wake()

    def feed_loss(self) -> None:
        """Learn that the connection is gone."""
        self._has_ended = self.is_lost = True
        self._is_full = False
        self._deadline.close()
        self._wake()

    def feed_full(self, *, is_full: bool) -> None:
        """Learn that the transport's buffer is full, or has room again."""
        self._is_full = is_full
        self._wake()

    # Inside

    def _set_deadline(self) -> None:
        left = self._end - self._loop.time()
        self._is_late = left <= 0
        self._deadline.set(min(self.timeout, left))

    def _send(self) -> None:
        if self._output:
            data = b"".join(self._output)
            self._output.clear()
            self._output_size = 0
            if not self.is_lost:
                self.transport.write(data)

    async def _more(self) -> None:
        """Wait until more has arrived than there is."""
        before = len(self._input)
        while len(self._input) == before:
            if self._has_ended:
                raise ClientGoneError("closed by the client")
            await self._wait()

    async def _wait(self) -> None:
        if self.is_lost:
            raise ClientGoneError("connection lost")
        if self._is_late:
            raise ClientIdleError("nothing heard in time")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        if self._is_held and len(self._input) <= HIGH_WATER // 2:
            self._is_held = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def _expire(self) -> None:
        if self._is_closing:
            self.transport.abort()
        else:
            self._is_late = True  # who was woken in this very turn, and finds too little, waits no longer
            self.interrupt(ClientIdleError("nothing heard in time"))
