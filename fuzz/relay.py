"""The relay behind a session, in memory: it does as it is told, keeps what it gets, and is strict about it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from fuzz.loop import Wire

_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0")
_TEXT = rb"[^\0-\x1f\x7f]"
_COMMAND = re.compile(
    rb"(?:EHLO mail\.example\.com|RSET|QUIT|DATA|BDAT [0-9]+(?: LAST)?"
    rb"|(?:MAIL FROM|RCPT TO):<%b*>(?: [A-Z0-9]+(?:=[!-~]+)?)*)" % _TEXT
)

REFUSALS = (b"", b"MAIL", b"RCPT", b"DATA", b".")
"""What is answered with a no: nothing, a verb, or the end of a message."""


class Relay:
    """What all connections to it have in common."""

    def __init__(self, refused: bytes, *, takes_chunks: bool, pipelines: bool) -> None:
        self.refused = refused
        offers = [b"relay.example", b"8BITMIME", b"SIZE 1000000", b"DSN", b"ENHANCEDSTATUSCODES"]
        offers += [b"CHUNKING"] * takes_chunks + [b"PIPELINING"] * pipelines
        self.hello = b"".join(b"250-" + offer + b"\r\n" for offer in offers) + b"250 HELP\r\n"
        self.on_mail: Callable[[], None] = lambda: None
        self.paths: list[bytes] = []
        """What stood between the brackets of MAIL and RCPT."""
        self.messages: list[bytes] = []
        """Those that it has taken, as they travelled."""

    def accept(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> Wire:
        """Be connected to."""
        return _Connection(self, loop, protocol).wire


class _Connection:
    def __init__(self, relay: Relay, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        self._relay = relay
        self._loop = loop
        self._input = b""
        self._message: bytes | None = None  # DATA's, as far as it has come
        self._chunks = b""
        self._left = 0  # octets of the chunk that have still to come
        self._is_last = False
        self._recipients: int | None = None  # of the transaction that has begun
        self.wire = Wire(loop, protocol, self._take)
        protocol.connection_made(self.wire)
        self._say(b"220 relay.example ESMTP\r\n")

    def _say(self, reply: bytes) -> None:
        self._loop.call_soon(lambda: self.wire.deliver(reply))

    def _take(self, octets: bytes) -> None:
        self._input += octets
        while self._input and self._step():
            pass

    def _step(self) -> bool:
        """Whether something was done with what has come."""
        if self._message is not None:
            return self._take_data()
        if self._left:
            part, self._input = self._input[: self._left], self._input[self._left :]
            self._chunks += part
            self._left -= len(part)
            if not self._left:
                self._end_chunk()
            return True
        line, end, rest = self._input.partition(b"\r\n")
        assert not _BARE.search(line.removesuffix(b"\r")), line
        if not end:
            return False
        self._input = rest
        self._obey(line)
        return True

    def _take_data(self) -> bool:
        content, end, rest = (b"\r\n" + (self._message or b"") + self._input).partition(b"\r\n.\r\n")
        assert not _BARE.search(content.removesuffix(b"\r")), "DATA holds what must not be sent"
        if not end:
            self._message, self._input = content[2:], b""
            return False
        self._message, self._input = None, rest
        self._conclude(content[2:] + b"\r\n")
        return True

    def _end_chunk(self) -> None:
        if not self._is_last:
            self._say(b"250 2.0.0 chunk\r\n")
            return
        message, self._chunks = self._chunks, b""
        assert not _BARE.search(message), "a chunk holds what must not be sent"
        self._conclude(message)

    def _conclude(self, message: bytes) -> None:
        self._recipients = None
        if self._relay.refused == b".":
            self._say(b"554 5.7.1 refused\r\n")
            return
        self._relay.messages.append(message)
        self._say(b"250 2.0.0 taken-by-the-relay\r\n")

    def _obey(self, line: bytes) -> None:
        assert _COMMAND.fullmatch(line), line
        verb = line[:4]
        if verb in (b"MAIL", b"RCPT"):
            self._relay.paths.append(line.partition(b"<")[2].rpartition(b">")[0])
        if verb == b"MAIL":
            self._relay.on_mail()
        if verb == b"BDAT":
            assert self._recipients, "a chunk for nobody"
            self._left, self._is_last = int(line.split()[1]), line.endswith(b" LAST")
            if not self._left:
                self._end_chunk()
        else:
            self._say(self._reply(verb))

    def _reply(self, verb: bytes) -> bytes:
        """The reply to any other command, which may change the state."""
        if verb == self._relay.refused:
            return b"550-5.7.1 no\r\n550 5.7.1 never\r\n"
        if (verb == b"RCPT" and self._recipients is None) or (verb == b"DATA" and not self._recipients):
            return b"503 5.5.1 out of order\r\n"
        match verb:
            case b"EHLO":
                return self._relay.hello
            case b"QUIT":
                return b"221 bye\r\n"
            case b"DATA":
                self._message = b""
                return b"354 go\r\n"
            case b"RSET":
                self._recipients = None
            case b"MAIL":
                self._recipients = 0
            case b"RCPT":
                self._recipients = (self._recipients or 0) + 1
        return b"250 2.1.0 ok\r\n"
