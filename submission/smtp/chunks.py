"""A message that comes in BDAT's chunks (RFC 3030), each answered by itself.

A relay that knows BDAT gets chunk for chunk, and its reply to each is the client's. Any other gets DATA with the dots
stuffed, and only the last chunk has its reply; those before are ours to take, like any part of a body.

The rules are those of message.py. The last octets of a chunk go on only once the chunk is known to be good, so that a
relay is never left with a complete one that isn't.
"""

from __future__ import annotations

from submission.core import replies
from submission.core.chunks import Chunk, DotStuffer
from submission.core.datastream import END, LineChecker
from submission.core.replies import Reply
from submission.relay.upstream import RelayError, Upstream
from submission.smtp.message import PATIENCE, Delivery, Outcome
from submission.smtp.stream import ClientStream


class ChunkedMessage:
    """One message. `relay` is called for each chunk, until its outcome isn't open any more."""

    def __init__(self, stream: ClientStream, upstream: Upstream, max_size: int) -> None:
        self._stream = stream
        self._upstream = upstream
        self.delivery = Delivery(upstream)
        self._max_size = max_size
        self._stuffer = None if upstream.takes_chunks else DotStuffer()
        self._checker = LineChecker(max_size)
        self._trace = b""

    @property
    def size(self) -> int:
        """Octets so far."""
        return self._checker.size

    async def open(self, trace: bytes) -> Reply | None:
        """Have the relay ready for the message, which will begin with `trace`; its reply where it won't take one."""
        self._trace = trace
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
        ready, self._trace = self._trace, b""
        if self._stuffer is None:
            ready = Chunk(len(ready) + chunk.size, chunk.is_last).encode() + b"\r\n" + ready
        left = chunk.size
        while left:
            octets = await self._stream.chunk(left)
            left -= len(octets)
            self._checker.feed(octets)
            if self._checker.fault is not None:
                self.delivery.drop()
                continue
            ready += self._stuffer.feed(octets) if self._stuffer else octets
            if left:
                await self.delivery.pass_on(ready)
                ready = b""
        return await self._end_chunk(chunk, ready)

    async def _end_chunk(self, chunk: Chunk, ready: bytes) -> Outcome:
        if chunk.is_last:
            self._checker.finish()
        if self._checker.fault is not None:
            self.delivery.drop()
            return Outcome(self._checker.fault, self.size, "content")
        if self._stuffer is None:
            return await self.delivery.finish(ready, self.size, is_message=chunk.is_last)
        if chunk.is_last:
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
