"""A message that comes in BDAT's chunks (RFC 3030), each answered by itself.

A relay that knows BDAT gets chunk for chunk, and its reply to each is the client's. Any other gets DATA with the dots
stuffed, and only the last chunk has its reply; those before are ours to take, like any part of a body.

The rules are those of message.py. The last octets of a chunk go on only once the chunk is known to be good, so that a
relay is never left with a complete one that isn't. A chunk that the header goes on behind is held back (judging.py),
answered by us, and goes on with the next.
"""

from __future__ import annotations

from submission.core import replies
from submission.core.chunks import Chunk, DotStuffer
from submission.core.datastream import END, LineChecker
from submission.core.replies import Reply
from submission.relay.upstream import RelayError, Upstream
from submission.smtp.judging import JudgedMessage
from submission.smtp.message import PATIENCE, Delivery, Outcome
from submission.smtp.stream import ClientStream


class ChunkedMessage:
    """One message. `relay` is called for each chunk, until its outcome isn't open any more."""

    def __init__(
        self, stream: ClientStream, upstream: Upstream, delivery: Delivery, message: JudgedMessage, max_size: int
    ) -> None:
        self._stream = stream
        self._upstream = upstream
        self._message = message
        self.delivery = delivery
        self._max_size = max_size
        self._stuffer = None if upstream.takes_chunks else DotStuffer()
        self._checker = LineChecker(max_size)
        self._is_announced = False  # the chunk, to a relay that knows BDAT

    @property
    def size(self) -> int:
        """Octets so far."""
        return self._checker.size

    async def open(self) -> Reply | None:
        """Have the relay ready for the message; its reply where it won't take one."""
        if self._stuffer is None:
            return None
        try:
            reply = await self._upstream.send(b"DATA")
        except RelayError:
            return None  # the chunk will find out
        if reply.is_positive:
            self._upstream.abort("2xx to DATA")  # nonsense, which must never look like a delivery; likewise
        return reply if reply.code >= 400 else None

    async def relay(self, chunk: Chunk) -> Outcome:
        """Take a chunk off the client and pass it on. Raises what the client's stream raises."""
        await self._stream.flush()
        if self.size + chunk.size > self._max_size * PATIENCE:
            self.delivery.drop()
            return Outcome(replies.MESSAGE_TOO_BIG, self.size, "endless", is_endless=True)
        self._is_announced = False
        ready = b""
        left = chunk.size
        while left:
            octets = await self._stream.chunk(left)
            left -= len(octets)
            self._checker.feed(octets)
            if self._fault is None:
                ready += self._encode(self._message.feed(octets), chunk.is_last, left)
            if self._fault is not None:
                self.delivery.drop()
            elif left:
                await self.delivery.pass_on(ready)
                ready = b""
        return await self._end_chunk(chunk, ready)

    @property
    def _fault(self) -> Reply | None:
        return self._checker.fault or self._message.fault

    def _encode(self, octets: bytes, is_last: bool, left: int) -> bytes:
        """Octets of a chunk as the relay gets them; the first of them announced, with the `left` ones behind them."""
        if self._stuffer is not None:
            return self._stuffer.feed(octets)
        return self._announce(len(octets) + left, is_last) + octets if octets else b""

    def _announce(self, size: int, is_last: bool) -> bytes:
        """The command for a chunk, unless the relay has had it."""
        if self._is_announced:
            return b""
        self._is_announced = True
        return Chunk(size, is_last).encode() + b"\r\n"

    async def _end_chunk(self, chunk: Chunk, ready: bytes) -> Outcome:
        if chunk.is_last:
            self._checker.finish()
            if self._fault is None:
                ready += self._encode(self._message.finish(), True, 0)
        if self._fault is not None:
            self.delivery.drop()
            return Outcome(self._fault, self.size, "content" if self._checker.fault else "policy")
        if self._stuffer is None and (self._is_announced or chunk.is_last):
            ready = self._announce(0, chunk.is_last) + ready
            return await self.delivery.finish(ready, self.size, is_message=chunk.is_last)
        if self._stuffer is not None and chunk.is_last:
            return await self.delivery.finish(ready + self._stuffer.finish() + END, self.size)
        await self.delivery.pass_on(ready)
        if self.delivery.loss is not None:
            return self.delivery.explain(self.delivery.loss, self.size)
        return Outcome(replies.chunk_taken(chunk.size), self.size, is_open=True)


async def skip(stream: ClientStream, chunk: Chunk, limit: int) -> bool:
    """Read a chunk that nobody wants, so that its refusal is heard; False, unread, if it has more octets than `limit`.

    Raises what the client's stream raises.
    """
    left = chunk.size
    if left > limit:
        return False
    while left:
        left -= len(await stream.chunk(left))
    return True
