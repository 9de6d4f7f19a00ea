"""The message itself: DATA's octets from the client through the scanner into the relay, neither end ahead of the other.

What ends well here: the scanner saw CRLF.CRLF and found no fault, the relay got every octet, then the lone dot, and
its reply is the client's. All else ends with the relay's connection dropped before the dot, which makes it throw the
message away, and with a reply that says so, read off to the end of the data so that the client hears it.
"""

from __future__ import annotations

from dataclasses import dataclass

from submission.core import replies
from submission.core.datastream import END, DataScanner
from submission.core.replies import Reply
from submission.relay.upstream import RelayLostError, Upstream
from submission.smtp.stream import ClientStream

PATIENCE = 4
"""Times the size limit that is read of a message that is refused already; then the connection is closed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message. `reply` is for the client, `reason` for the log where the reply isn't the relay's."""

    reply: Reply
    size: int
    reason: str = ""
    is_unknown: bool = False  # the relay got the final dot, and nothing was heard of it since
    is_endless: bool = False  # the client would go on sending: close


class Transfer:
    """One message on its way. `relay` is called once."""

    def __init__(self, stream: ClientStream, upstream: Upstream, max_size: int) -> None:
        self._stream = stream
        self._upstream = upstream
        self._scanner = DataScanner(max_size)
        self._max_read = max_size * PATIENCE
        self._loss: RelayLostError | None = None
        self.is_committed = False
        """Whether the relay may have the whole message: from then on only its reply can tell what became of it."""

    async def relay(self, trace: bytes) -> Outcome:
        """Stream `trace`, our header fields, and the message. Raises what the client's stream raises."""
        scanner = self._scanner
        ready = trace
        while True:
            ready += scanner.feed(await self._stream.chunk())
            if scanner.ended:
                break
            await self._pass_on(ready)
            ready = b""
            if scanner.fault:
                self._upstream.abort("message refused")
                if scanner.size > self._max_read:
                    return Outcome(scanner.fault, scanner.size, "endless", is_endless=True)
        self._stream.give_back(scanner.rest)
        if scanner.fault:
            self._upstream.abort("message refused")
            return Outcome(scanner.fault, scanner.size, "content")
        if self._loss is None:
            self._loss = self._upstream.loss
        if self._loss is not None:
            return Outcome(self._loss.reply or replies.RELAY_LOST, scanner.size, str(self._loss))
        return await self._finish(ready)

    async def _pass_on(self, octets: bytes) -> None:
        if self._loss is None and octets:
            try:
                await self._upstream.write(octets)
            except RelayLostError as loss:
                self._loss = loss  # the client is told after its last line

    async def _finish(self, ready: bytes) -> Outcome:
        """Send what is left of the message and its end, in one packet where that is all there was."""
        size = self._scanner.size
        self.is_committed = True
        try:
            reply = await self._upstream.finish(ready + END)
            if reply.code == 354:
                raise RelayLostError("354 to the end of a message")
            return Outcome(reply, size)
        except RelayLostError as loss:
            return Outcome(loss.reply or replies.RELAY_LOST, size, str(loss), is_unknown=loss.reply is None)
