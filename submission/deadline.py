"""One timer for a connection whose deadline moves with every command.

Setting a timer anew for each command costs more than the command. So `set` only notes the time, and the timer, when
it fires early, goes back to sleep for what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `on_expiry` once when the time of the last `set` is over, unless it was set again or cleared."""

    __slots__ = ("_handle", "_loop", "_on_expiry", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_expiry: Callable[[], None]) -> None:
        self._loop = loop
        self._on_expiry = on_expiry
        self._when: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Let the deadline be `seconds` from now, whatever it was."""
        self._when = self._loop.time() + seconds
        if self._handle is not None and self._handle.when() > self._when:
            self._handle.cancel()
            self._handle = None
        if self._handle is None:
            self._handle = self._loop.call_at(self._when, self._fire)

    def clear(self) -> None:
        """Let there be none until the next `set`."""
        self._when = None

    def close(self) -> None:
        """Give the timer back to the loop, and forget whom to call: nothing happens any more, whatever is set.

        Whose method that is, and its deadline, would else keep each other until the collector comes, buffers included.
        """
        self._on_expiry = _do_nothing
        self._when = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        if self._when is None:
            return
        if self._when > self._loop.time():
            self._handle = self._loop.call_at(self._when, self._fire)
            return
        self._when = None
        self._on_expiry()


def _do_nothing() -> None:
    """In place of what was to be called."""
