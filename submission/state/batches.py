"""Changes that many tasks want at once: those that come while a transaction is under way share the next.

A transaction costs a thread's turn and a few system calls, whatever is done in it. So under load a change becomes
cheap, and alone it waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from submission.state import State, Transaction

T = TypeVar("T")

MAX_BATCH = 100
"""Changes in one transaction, which others have to wait for."""


class Batches:
    """One process's way to change a state. A change that raises undoes those it shares a transaction with."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: list[tuple[Callable[[Transaction], Any], asyncio.Future[Any]]] = []
        self._working: asyncio.Task[None] | None = None

    async def change(self, change: Callable[[Transaction], T]) -> T:
        """Change entries in one step, or in none; gives what `change` gives. Raises StateUnavailableError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append((change, future))
        if self._working is None:
            self._working = loop.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            futures = [future for _, future in batch]
            changes = [change for change, _ in batch]
            try:
                results = await asyncio.to_thread(_change_all, self._state, changes)
            except Exception as error:  # noqa: BLE001 - it is for those who wait, and who know what to do with it
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            else:
                for future, result in zip(futures, results, strict=True):
                    if not future.done():  # whose task was cancelled
                        future.set_result(result)
        self._working = None


def _change_all(state: State, changes: list[Callable[[Transaction], Any]]) -> list[Any]:
    return state.change(lambda transaction: [change(transaction) for change in changes])
