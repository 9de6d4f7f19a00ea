"""The message itself, from the client through a checker into the relay, neither end ahead of the other.

What ends well here: the client sent the whole of it and no fault was found, the relay got every octet and the end, and
its reply is the client's. All else ends with the relay's connection dropped before the end, which makes it throw the
message away, and with a reply that says so, once the client has sent what it announced, so that it is heard.

    relay_data      DATA: searched for its end, as dot-stuffed as it came
    chunks.py       BDAT: counted
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from submission.core import replies
from submission.core.datastream import END, DataScanner
from submission.core.replies import Reply
from submission.relay.upstream import RelayError, RelayLostError, Upstream
from submission.smtp.judging import JudgedMessage
from submission.smtp.stream import ClientStream

PATIENCE = 4
"""Times the size limit that is read of a message that is refused already; then the connection is closed."""


class Outcome(NamedTuple):
    """What became of a message. `reply` is for the client, `reason` for the log where the reply isn't the relay's."""

    reply: Reply
    size: int
    reason: str = ""
    is_unknown: bool = False  # the relay got the end of the message, and nothing was heard of it since
    is_endless: bool = False  # the client would go on sending: close
    is_open: bool = False  # so far so good: more chunks follow


class Delivery:
    """The relay's end of a message on its way. Once it is lost nothing is sent any more; the client is told later."""

    def __init__(self, upstream: Upstream, on_end: Callable[[int], None]) -> None:
        """`on_end` is called before the end of the message goes out, with its size."""
        self._upstream = upstream
        self._on_end = on_end
        self._loss: RelayError | None = None
        self.is_committed = False
        """Whether the relay may have the whole message: from then on only its reply can tell what became of it."""
        self.wait: float | None = None
        """Seconds that the relay took to reply to the end of the message, once it has."""

    @property
    def loss(self) -> RelayError | None:
        """Why the relay gets no more, once that is so."""
        if self._loss is None:
            self._loss = self._upstream.loss
        return self._loss

    async def pass_on(self, octets: bytes) -> None:
        """Send a part of the message, at the relay's pace."""
        if octets and self.loss is None:
            try:
                await self._upstream.write(octets)
            except RelayLostError as loss:
                self._loss = loss

    def drop(self) -> None:
        """Let the relay throw away what it has, for a fault was found in the message."""
        self._upstream.abort("message refused")

    async def finish(self, octets: bytes, size: int, *, is_message: bool = True) -> Outcome:
        """Send what is left of the message with its end, or of a chunk, and hear what the relay says to it."""
        if self.loss is not None:
            return self.explain(self.loss, size)
        if is_message:
            self.is_committed = True
            self._on_end(size)
        asked = time.monotonic()
        try:
            reply = await self._upstream.finish(octets, is_message=is_message)
            if reply.code == 354:
                raise RelayLostError("354 to the end of a message")
        except RelayLostError as loss:
            return self.explain(loss, size, is_unknown=is_message and loss.reply is None)
        if is_message:
            self.wait = time.monotonic() - asked
        if not reply.is_positive:  # a yes shows that it has read all of it; a no may come early
            self._upstream.retire()
        return Outcome(reply, size, is_open=not is_message and reply.is_positive)

    def explain(self, loss: RelayError, size: int, *, is_unknown: bool = False) -> Outcome:
        """What a loss makes of the message: the relay's own last word, if it had one."""
        said = loss.reply if isinstance(loss, RelayLostError) else None
        return Outcome(said or replies.RELAY_LOST, size, str(loss), is_unknown=is_unknown)


async def relay_data(stream: ClientStream, delivery: Delivery, message: JudgedMessage, max_size: int) -> Outcome:
    """Stream what follows the client's DATA, as far as it is good. Raises what the client's stream raises."""
    await stream.flush()
    scanner = DataScanner(max_size)
    ready = b""
    while True:
        ready += message.feed(scanner.feed(await stream.chunk()))
        if scanner.ended:
            break
        fault = scanner.fault or message.fault
        if fault is None:
            await delivery.pass_on(ready)
        else:
            delivery.drop()
            if scanner.size > max_size * PATIENCE:
                return Outcome(fault, scanner.size, "endless", is_endless=True)
        ready = b""
    stream.give_back(scanner.rest)
    if scanner.fault is None:
        ready += message.finish()
    fault = scanner.fault or message.fault
    if fault:
        delivery.drop()
        return Outcome(fault, scanner.size, "content" if scanner.fault else "policy")
    return await delivery.finish(ready + END, scanner.size)
