"""Replies in a queue: the protocol of a connection to the relay once EHLO is done.

aiosmtplib awaits each reply before the next command and loses what comes unasked. Here every command puts a future
into a queue and the replies resolve them in order, so any number of commands may be under way (RFC 2920), the body of
a message is written without waiting, and a reply that comes early, in the middle of a body, is noticed.

What can't be paired is never guessed at: a reply nobody waits for, a malformed or endless one, fails everything that
is under way and drops the connection.

Replies are kept as they came: code and lines, octet for octet, because the client is to hear them unchanged. Only
octets that would break the client's reply framing (controls) are replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from typing import cast

from aiosmtplib.protocol import SMTPProtocol

from submission.core.replies import Reply
from submission.deadline import Deadline

MAX_REPLY = 32 * 1024
"""Octets of one reply, all its lines together; real ones stay far below."""
MAX_LINES = 128

_LINE = re.compile(rb"(?P<code>[245][0-9]{2}|354)(?:(?P<more>[ -])(?P<text>.*))?", re.DOTALL)
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class RelayError(Exception):
    """The relay can't be asked, or stopped answering. The text is for the log, not for a client."""


class RelayLostError(RelayError):
    """A connection ended, fell silent or talked nonsense while something was under way.

    `reply` is what the relay said unasked before, such as a refusal in the middle of a body; None where it said
    nothing, or nothing negative: only an answer to the end of a message can be a yes.
    """

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.reply = reply if reply is not None and reply.code >= 400 else None


class Pipe(SMTPProtocol):
    """The connection's protocol: `send` returns a future for the reply, `write` streams a body."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._output: list[bytes] = []
        self._lines: list[bytes] = []
        self._code = 0
        self._size = 0
        self._deadline = Deadline(loop, self._expire)
        self._timeout = 0.0
        self.lost: RelayLostError | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the connection stands with nothing asked and nothing half said."""
        return self.lost is None and not self._waiting and not self._lines and not self._buffer

    def send(self, command: bytes, timeout: float) -> asyncio.Future[Reply]:
        """Send a command, or the end of a body; the future gives the reply or raises RelayLostError.

        `timeout` is in seconds, from now or from the reply before it, whichever is later.
        """
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self.lost is not None:
            future.set_exception(self.lost)
        else:
            self._waiting.append(future)
            self._timeout = timeout
            self._deadline.set(timeout)
            if not self._output:
                self._loop.call_soon(self._flush)
            self._output.append(command)
        future.add_done_callback(_retrieve)
        return future

    async def write_body(self, chunk: bytes, seconds: float) -> None:
        """Write a part of a message and wait for room for more; RelayLostError after `seconds` without any."""
        self._raise_if_lost()
        self._flush()
        self._transport.write(chunk)
        if self._paused:
            self._deadline.set(seconds)
            with contextlib.suppress(ConnectionError):
                await self._drain_helper()
            self._deadline.clear()
            self._raise_if_lost()

    def abort(self, reason: str) -> None:
        """Drop the connection at once; whatever is under way raises RelayLostError."""
        self._fail(RelayLostError(reason))

    def _flush(self) -> None:
        """Send the commands of one turn of the event loop together: a packet costs more than what is in it."""
        if self._output and self.lost is None:
            self._transport.write(b"".join(self._output))
        self._output.clear()

    def _raise_if_lost(self) -> None:
        if self.lost is not None:
            raise self.lost

    @property
    def _transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self.transport)

    def data_received(self, data: bytes) -> None:
        """Take octets from the relay."""
        self._buffer += data
        while (newline := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:newline]).rstrip(b"\r")
            del self._buffer[: newline + 1]
            self._size += newline + 1
            if not self._take_line(line):
                return
        if self._size + len(self._buffer) > MAX_REPLY:
            self._fail(RelayLostError("a reply without end"))

    def _take_line(self, line: bytes) -> bool:
        match = _LINE.fullmatch(line)
        if match is None or (self._lines and int(match["code"]) != self._code):
            self._fail(RelayLostError(f"not an SMTP reply: {line[:80]!r}"))
            return False
        self._code = int(match["code"])
        self._lines.append(_CONTROLS.sub(b"?", match["text"] or b""))
        if len(self._lines) > MAX_LINES or self._size > MAX_REPLY:
            self._fail(RelayLostError("a reply without end"))
            return False
        if match["more"] == b"-":
            return True
        return self._take_reply(Reply(self._code, tuple(self._lines)))

    def _take_reply(self, reply: Reply) -> bool:
        self._lines, self._size = [], 0
        if not self._waiting:
            # Between commands it can only be a goodbye; inside a body, a refusal before its end.
            self._fail(RelayLostError(f"unasked: {reply.text[:200]}", reply))
            return False
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(reply)
        if self._waiting:
            self._deadline.set(self._timeout)
        else:
            self._deadline.clear()
        return True

    def eof_received(self) -> bool:
        """Take the relay's end of data: it will answer nothing more, so the connection is over."""
        self._fail(RelayLostError("closed by the relay"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection is gone."""
        self._fail(RelayLostError(f"connection lost: {exc}" if exc else "connection lost"))
        super().connection_lost(exc)

    def _expire(self) -> None:
        self._fail(RelayLostError("no answer in time"))

    def _fail(self, error: RelayLostError) -> None:
        if self.lost is None:
            self.lost = error
        self._deadline.close()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(self.lost)
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_exception(ConnectionResetError(str(self.lost)))
        if self.transport is not None:
            self._transport.abort()


def _retrieve(future: asyncio.Future[Reply]) -> None:
    """Mark an exception as seen: a reply that nobody awaits any more is no fault of the program."""
    if not future.cancelled():
        future.exception()
