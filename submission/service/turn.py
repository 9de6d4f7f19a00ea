"""One at a time, of all processes of an installation: a lock on a file, which the system lets go of for who dies."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

LOOK = 0.05
"""Seconds between tries."""


class Turn:
    """Somebody's wish for his turn."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where there can be no such file."""
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """Have it, if nobody else does."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self, stop: threading.Event) -> bool:
        """Have it as soon as nobody else does; False where one is told to stop before."""
        while not stop.is_set():
            if self.take():
                return True
            stop.wait(LOOK)
        return False

    def leave(self) -> None:
        """Let others have theirs."""
        os.close(self._descriptor)
