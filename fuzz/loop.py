"""An event loop without sockets, threads and waiting: what happens in it depends on the input alone.

Its clock stands still while there is something to do. When there is nothing, `on_idle` may find something, such as the
next octets of a client; if it doesn't, the clock jumps to the next timer. Threads' work is done at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

_T = TypeVar("_T")


class Loop(asyncio.BaseEventLoop):
    """Ends with AssertionError where everybody waits for somebody else, or goes on for longer than `patience`."""

    def __init__(self, on_idle: Callable[[], bool], patience: float) -> None:
        """`on_idle` says whether it has found something; `patience` is in seconds of this clock."""
        super().__init__()
        self._selector = self
        self._on_idle = on_idle
        self._now = 0.0
        self._patience = patience
        self.faults: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.faults.append(context))

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> list[object]:
        """Take the place of the selector, which is called with the seconds until the next timer, 0 if there is work."""
        if timeout == 0 or self._on_idle():
            return []
        assert timeout is not None, "everybody waits for somebody else"
        self._now += timeout
        assert self._now < self._patience, f"not over in {self._patience} s"
        return []

    def run_in_executor(  # type: ignore[override] # it gives a future, as the original does
        self, _executor: Executor | None, work: Callable[..., _T], *arguments: object
    ) -> asyncio.Future[_T]:
        """Do a thread's work at once."""
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001 - which is handed on
            future.set_exception(error)
        return future

    def dismiss(self) -> None:
        """End what is left, which is something only where an invariant was broken, and close."""
        left = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.wait(left))
        self.close()

    def _process_events(self, _events: list[object]) -> None:
        """There are none but those that are scheduled."""

    def _write_to_self(self) -> None:
        """Nobody is woken from another thread."""


class Wire(asyncio.Transport):
    """One end of a connection: what is written goes to `take` at once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BaseProtocol,
        take: Callable[[bytes], None],
        info: dict[str, object] | None = None,
    ) -> None:
        super().__init__(info)
        self._loop = loop
        self._protocol = protocol
        self._take = take
        self._is_closing = False
        self.is_reading = True
        self.lost: asyncio.Future[None] = loop.create_future()
        """Done once the protocol knows that the connection is gone."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let somebody else have what arrives."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who has what arrives."""
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Pass octets on, unless it is closed."""
        if not self._is_closing:
            self._take(bytes(data))

    def write_eof(self) -> None:
        """End this side; nobody needs to know."""

    def can_write_eof(self) -> bool:
        """As a socket does."""
        return True

    def get_write_buffer_size(self) -> int:
        """Nothing is ever left to be written."""
        return 0

    def pause_reading(self) -> None:
        """Want nothing for now."""
        self.is_reading = False

    def resume_reading(self) -> None:
        """Want something again."""
        self.is_reading = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._is_closing

    def close(self) -> None:
        """Close, which the protocol learns later."""
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._lose)

    abort = close

    def _lose(self) -> None:
        self._protocol.connection_lost(None)
        self.lost.set_result(None)

    # The other end

    def deliver(self, octets: bytes) -> None:
        """Let octets arrive."""
        if not self._is_closing and isinstance(self._protocol, asyncio.Protocol):
            self._protocol.data_received(octets)

    def deliver_end(self) -> None:
        """Let the end of the other side arrive."""
        if self._is_closing or not isinstance(self._protocol, asyncio.Protocol) or self._protocol.eof_received():
            return
        self.close()
