"""The sessions of a process: who may come in, and how all of them end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from submission.smtp.places import Row

if TYPE_CHECKING:
    from submission.smtp.command_loop import CommandLoop

LATECOMERS = 1.0
"""Seconds for connections that were accepted, and are on their way to becoming sessions, when nobody is any more."""
LAST_WORDS = 1.0
"""Seconds that clients have for taking our goodbye when the service ends."""


class Sessions:
    """Each has a place of those that all workers share."""

    def __init__(self, places: Row) -> None:
        self._places = places
        self._all: set[CommandLoop] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.is_ending = False
        """Whether the service stops: who comes in now is told so."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody is there."""
        return not self._all

    def admit(self, session: CommandLoop, network: str) -> bool:
        """Count a session in, or say that there is no room."""
        if not self._places.take(network):
            return False
        self._all.add(session)
        self._empty.clear()
        return True

    def dismiss(self, session: CommandLoop, network: str) -> None:
        """Count a session out; one that was never in is none."""
        if session not in self._all:
            return
        self._all.remove(session)
        self._places.leave(network)
        if not self._all:
            self._empty.set()

    async def wait(self) -> None:
        """Wait until all have ended by themselves, those too whose connections were just being accepted."""
        await asyncio.sleep(LATECOMERS)
        await self._empty.wait()

    async def drain(self, seconds: float) -> None:
        """Let transactions end, for as long as `seconds`; then end the sessions that are left."""
        self.is_ending = True
        for session in tuple(self._all):
            session.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            for session in tuple(self._all):
                session.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._empty.wait()
            for session in tuple(self._all):
                session.abort()
