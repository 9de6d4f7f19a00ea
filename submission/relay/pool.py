"""Connections to the relay that outlive the transactions of clients.

A new connection costs sendmail a fork, three quarters of what accepting a message costs it, so one that is provably
clean is kept: every command on it was answered, and no body is owed. What sendmail holds against a long connection is
avoided: one EHLO each (it slows down at the third), never NOOP (at the twentieth), and we part before it does, for it
goes without a word.

Nothing here is a queue: whoever can't be served now is told so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

from submission.config.settings import Relay as RelaySettings
from submission.relay.connection import Connection, RelayUnreachableError, connect

MAX_IDLE = 60.0
"""Seconds that a connection is kept unused. Debian's sendmail closes after 300."""
MAX_USES = 500
"""Transactions on one connection, so that a configuration change of the relay's reaches us some day."""
MAX_KEPT = 64
"""Connections kept unused, of all workers: Postfix has a hundred processes for all of its clients."""
MAX_CONNECTING = 8
"""Connections waiting for a greeting at a time, of all workers: sendmail's listen queue holds 10."""
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0
"""Seconds after a refused connection in which no other is tried; doubles from the first to the last."""


class Pool:
    """The relay as one process sees it."""

    def __init__(self, settings: RelaySettings, hostname: str, workers: int = 1) -> None:
        """`workers` is how many processes have a pool like this one."""
        self.loop = asyncio.get_running_loop()  # to ask for it costs a system call, and each message needs it
        self.settings = settings
        self.hostname = hostname
        self._kept: deque[Connection] = deque()
        self._max_kept = max(MAX_KEPT // workers, 1)
        self._turns = max(MAX_CONNECTING // workers, 1)  # how many more may wait for a greeting
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._pause = 0.0
        self._paused_until = 0.0
        self.extensions: Mapping[str, str] = MappingProxyType({})
        """What the relay offered last; empty until it has been asked."""

    @property
    def hello(self) -> bytes:
        """The EHLO that we say."""
        return b"EHLO " + self.hostname.encode()

    def take(self) -> Connection | None:
        """A connection that is kept, if there is one."""
        while self._kept:
            connection = self._kept.pop()  # the one used last: the others get the chance to grow old
            if not self._is_old(connection) and connection.pipe.is_idle:
                return connection
            connection.quit()
        return None

    def keep(self, connection: Connection) -> None:
        """Give a connection back. One that isn't provably clean is dropped."""
        if not connection.pipe.is_idle:
            connection.pipe.abort("not clean")
        elif connection.is_spent or connection.uses >= MAX_USES:
            connection.quit()
        else:
            connection.idle_since = self.loop.time()
            self._hand_over(connection)

    async def connect(self) -> Connection:
        """Open a connection, or get one that is given back while we wait for our turn; `uses` tells which it is.

        Raises RelayUnreachableError.
        """
        connection = await self._wait_for_turn()
        if connection is not None:
            return connection
        try:
            return await self._open()
        finally:
            self._hand_over(None)

    async def _wait_for_turn(self) -> Connection | None:
        """Be one of the few who wait for a greeting, or get a connection without one."""
        if self._turns:
            self._turns -= 1
            return None
        given_back = self.take()  # a moment ago, when nobody waited yet
        if given_back is not None:
            return given_back
        waiter: asyncio.Future[Connection | None] = self.loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if not waiter.cancelled():  # its turn came in this very moment
                self._hand_over(waiter.result())
            if isinstance(error, TimeoutError):
                raise RelayUnreachableError("too many connections wait for its greeting") from None
            raise

    def _hand_over(self, connection: Connection | None) -> None:
        """Give a connection, or our turn to open one, to who has waited longest; without anybody, to who comes next."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._turns += 1
        elif len(self._kept) >= self._max_kept:
            connection.quit()
        else:
            self._kept.append(connection)

    async def _open(self) -> Connection:
        try:
            if self.loop.time() < self._paused_until:
                raise RelayUnreachableError("not tried, for it was refused a moment ago")
            connection = await connect(self.settings, self.hostname)
        except RelayUnreachableError:
            if self.loop.time() >= self._paused_until:  # several that are refused at once count as one
                self._pause = min(max(self._pause * 2, FIRST_PAUSE), LAST_PAUSE)
                self._paused_until = self.loop.time() + self._pause
            raise
        self._pause = 0.0
        self.extensions = connection.extensions
        return connection

    def sweep(self) -> None:
        """Part with connections that were unused for too long; to be called now and then."""
        while self._kept and (self._is_old(self._kept[0]) or not self._kept[0].pipe.is_idle):
            self._kept.popleft().quit()

    def _is_old(self, connection: Connection) -> bool:
        return connection.idle_since < self.loop.time() - MAX_IDLE

    def close(self) -> None:
        """Part with every connection that is kept."""
        while self._kept:
            self._kept.pop().quit()
