"""The replies of a session, in the order of its commands, whoever makes them.

Our own are there at once. The relay's are promised: a command was sent on, its reply comes later, and the client gets
it in its place (RFC 2920 section 3.2). Nothing waits for a promise before the session has to: when it reads on, or
needs to know how things stand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from submission.core.replies import Reply
from submission.relay.upstream import RelayError, RelayLostError
from submission.smtp.stream import ClientStream

Promise = tuple["asyncio.Future[Reply]", Callable[[Reply], Reply], Callable[[RelayError], Reply]]


class Answers:
    """What the client is to be told."""

    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream
        self._promised: deque[Reply | Promise] = deque()

    def say(self, reply: Reply) -> None:
        """Answer, behind what was promised before."""
        if self._promised:
            self._promised.append(reply)
        else:
            self._stream.write(reply.encode())

    def promise(
        self,
        future: asyncio.Future[Reply],
        on_reply: Callable[[Reply], Reply],
        on_loss: Callable[[RelayError], Reply],
    ) -> None:
        """Answer with what `on_reply` makes of the relay's reply, or `on_loss` where none comes."""
        self._promised.append((future, on_reply, on_loss))

    async def settle(self) -> None:
        """Wait for everything that was promised, and write it."""
        while self._promised:
            answer = self._promised.popleft()
            if isinstance(answer, Reply):
                reply = answer
            else:
                future, on_reply, on_loss = answer
                try:
                    said = await future
                    if said.code == 354:
                        raise RelayLostError("354 to a command")
                except RelayError as error:
                    reply = on_loss(error)
                else:
                    reply = on_reply(said)
            self._stream.write(reply.encode())

    def forget(self) -> None:
        """Break every promise: the session is over."""
        self._promised.clear()
