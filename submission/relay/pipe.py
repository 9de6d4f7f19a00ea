"""Replies in a queue: the protocol of a connection to the relay once EHLO is done.

aiosmtplib awaits each reply before the next command and loses what comes unasked. Here every command puts a future
into a queue and the replies resolve them in order, so any number of commands may be under way (RFC 2920), the body of
a message is written without waiting, and a reply that comes early, in the middle of a body, is noticed. To a relay
that doesn't pipeline, the commands go one at a time; who sends them needn't know.

What can't be paired is never guessed at: a reply nobody waits for, a malformed or endless one, fails everything that
is under way and drops the connection. So does a body that is left unfinished.

Replies are kept as they came: code and lines, octet for octet, because the client is to hear them unchanged. Only
octets that would break the client's reply framing (controls) are replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from aiosmtplib.protocol import SMTPProtocol

from submission.core.replies import Reply
from submission.deadline import Deadline

MAX_REPLY = 32 * 1024
"""Octets of one reply, all its lines together; real ones stay far below."""
MAX_LINES = 128

_LINE = re.compile(rb"(?P<code>[245][0-9]{2}|354)(?:(?P<more>[ -])(?P<text>.*))?\r*", re.DOTALL)
_VISIBLE = bytes(ord("?") if (octet < 32 and octet != 9) or octet == 127 else octet for octet in range(256))
"""What becomes of each octet of a reply's text."""


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
    """The connection's protocol: `send` asks for a reply, `write_body` streams a body.

    `on_loss` is called once when the connection is lost, before whoever waits is told; where it gives True, those who
    wait go on waiting, for it will see to them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, pipelines: bool) -> None:
        super().__init__(loop=loop)
        self._pipelines = pipelines
        self._waiting: deque[asyncio.Future[Reply] | None] = deque()  # None: nobody waits, but it has to be a yes
        self._output: deque[bytes] = deque()
        self._rest = b""  # of what arrived: a line that isn't complete
        self._lines: list[bytes] = []
        self._code = 0
        self._size = 0
        self._owes_body = False
        self._deadline = Deadline(loop, self._expire)
        self._timeout = 0.0
        self.lost: RelayLostError | None = None
        self.on_loss: Callable[[], bool] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the connection stands with nothing asked, nothing half said, and no body owed."""
        return self.lost is None and not (self._waiting or self._lines or self._rest or self._owes_body)

    def send(self, command: bytes, timeout: float, future: asyncio.Future[Reply] | None = None) -> None:
        """Send a command; `future` gets the reply or RelayLostError.

        Without a future the reply has to be a yes: a no ends the connection. `timeout` is in seconds, from now or
        from the reply before it, whichever is later.
        """
        if self.lost is not None:
            if future is not None:
                _fail(future, self.lost)
            return
        self._waiting.append(future)
        self._timeout = timeout
        if not self._output:
            self._loop.call_soon(self._flush)
        self._output.append(command)

    async def write_body(self, octets: bytes, seconds: float) -> None:
        """Write a part of a message and wait for room for more; RelayLostError after `seconds` without any."""
        self._raise_if_lost()
        self._owes_body = True
        self._transport.write(octets)
        if self._paused:
            self._deadline.set(seconds)
            with contextlib.suppress(OSError):  # what the connection died of, ssl.SSLError among them
                await self._drain_helper()
            self._deadline.clear()
            self._raise_if_lost()

    def finish_body(self, octets: bytes, timeout: float, future: asyncio.Future[Reply]) -> None:
        """Write what completes the body, at once; `future` gets the reply or RelayLostError."""
        self._owes_body = False
        self.send(octets, timeout, future)
        self._flush()

    def abort(self, reason: str) -> None:
        """Drop the connection at once; whatever is under way raises RelayLostError."""
        self.on_loss = None
        self._fail(RelayLostError(reason))

    def _flush(self) -> None:
        """Send the commands of one turn of the event loop together: a packet costs more than what is in it."""
        if self.lost is not None or not self._output:
            return
        if self._pipelines:
            self._transport.write(b"".join(self._output))
            self._output.clear()
        elif len(self._waiting) == len(self._output):  # everything before was answered
            self._transport.write(self._output.popleft())
        self._deadline.set(self._timeout)

    @property
    def _is_sending(self) -> bool:
        """Whether a part of what was sent last is still with us, so that it can't have been answered."""
        return self._transport.get_write_buffer_size() > 0

    def _raise_if_lost(self) -> None:
        if self.lost is not None:
            raise self.lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn what the connection is written to."""
        super().connection_made(transport)
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take octets from the relay."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._take_line(line):
                return
        if self._size + len(self._rest) > MAX_REPLY:
            self._fail(RelayLostError("a reply without end"))
        elif not self._waiting:
            self._deadline.clear()
        elif lines:
            self._deadline.set(self._timeout)
            self._flush()

    def _take_line(self, line: bytes) -> bool:
        reply, is_last = _parse(line)
        if is_last and not self._lines and len(line) < MAX_REPLY:  # all of it, as nearly always
            return self._take_reply(reply)
        if not reply.code or (self._lines and reply.code != self._code):
            self._fail(RelayLostError(f"not an SMTP reply: {line[:80]!r}"))
            return False
        self._code = reply.code
        self._lines += reply.lines
        self._size += len(line) + 1
        if len(self._lines) > MAX_LINES or self._size > MAX_REPLY:
            self._fail(RelayLostError("a reply without end"))
            return False
        if not is_last:
            return True
        reply = Reply(self._code, tuple(self._lines))
        self._lines, self._size = [], 0
        return self._take_reply(reply)

    def _take_reply(self, reply: Reply) -> bool:
        waiting = len(self._waiting)
        if waiting <= len(self._output) or (waiting == 1 and self._is_sending):
            # Between commands it can only be a goodbye; inside a body, a refusal before its end.
            self._fail(RelayLostError(f"unasked: {reply.text[:200]}", reply))
            return False
        future = self._waiting.popleft()
        if reply.code == 354:
            self._owes_body = True
        if future is None:
            if not reply.is_positive:
                self._fail(RelayLostError(f"refused: {reply.text[:200]}"))
                return False
        elif not future.done():
            future.set_result(reply)
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
        if self.lost is not None:
            return
        self.lost = error
        self._deadline.close()
        if self.on_loss is None or not self.on_loss():
            for future in self._waiting:
                if future is not None:
                    _fail(future, error)
        self._waiting.clear()
        if self.transport is not None:
            self._transport.abort()  # which wakes who waits for room, too


@lru_cache(maxsize=64)  # most of what a relay says it says again and again
def _parse(line: bytes) -> tuple[Reply, bool]:
    """The reply that a line, without its LF, is or is part of, and whether it ends there. Code 0 is none at all."""
    match = _LINE.fullmatch(line)
    if match is None:
        return Reply(0, ()), False
    code, more, text = match.groups(b"")
    return Reply(int(code), (text.rstrip(b"\r").translate(_VISIBLE),)), more != b"-"


def _fail(future: asyncio.Future[Reply], error: RelayError) -> None:
    """Let whoever waits learn of it; that nobody does is no fault of the program."""
    if not future.done():
        future.set_exception(error)
        future.exception()
