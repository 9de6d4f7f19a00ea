"""A copy in memory of one kind of entries, for whoever asks often: current when it is asked, without reading each time.

While the state's version is the same as when the copy was read, nothing can be new. Otherwise what is new since is
read, in a thread. Whoever hasn't asked for half a day begins anew, for what was removed is only seen for a day.
"""

from __future__ import annotations

import asyncio
import threading
import time

from submission.state import NOTICED, Revision, State, Take


class Copy:
    """Keeps what `take` makes of the entries current. Raises StateUnavailableError."""

    def __init__(self, state: State, kind: str, take: Take) -> None:
        self._state = state
        self._kind = kind
        self._take = take
        self._revision: Revision | None = None
        self._version: object | None = None
        self._read = 0.0
        self.lock = threading.Lock()
        """Held while entries are taken in."""

    async def catch_up(self) -> None:
        """Be current."""
        version = self._state.version()
        if version is None or version != self._version:
            await asyncio.to_thread(self.read)

    def read(self) -> None:
        """Take in what is new. Blocks."""
        version = self._state.version()  # before reading, so that it isn't newer than what is read
        with self.lock:
            now = time.time()
            since = self._revision if abs(now - self._read) < NOTICED / 2 else None
            self._revision = None  # what was begun and not ended is begun anew
            self._revision = self._state.changes(self._kind, since, self._take)
            self._read, self._version = now, version
