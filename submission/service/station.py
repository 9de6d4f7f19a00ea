"""What ties a worker to its supervisor: what each has of the other, and of the crew that they are of.

Two pipes are between them. In one the worker says that it is ready, or why it can't be. Nothing is ever written into
the other, which only the supervisor holds open: its end is how the workers learn that they are alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

STEADY = 60.0
"""Seconds that a worker has to live for its death to be no sign of a fault that comes again at once."""
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
"""Seconds before a worker that wasn't steady is replaced again; doubles from the first to the last."""
RETIRE = signal.SIGUSR1
"""What a worker is sent that is to retire."""
MAX_NEWS = 4096
"""Octets of what a worker has to say."""

_READY = b"ready"


@dataclass(frozen=True, slots=True)
class Station:
    """What a worker has of its supervisor."""

    number: int
    """Which of its crew it is, from 0 on; a replacement has the number of whom it replaces."""
    row: int
    """Which of all workers that live it is, of whatever crew."""
    lifeline: int
    """A descriptor that becomes readable when the supervisor is gone."""
    news: int
    mask: Iterable[int]

    def unblock_signals(self) -> None:
        """Let signals come from now on; to be called once there are handlers, for a signal that comes early waits."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)

    def announce(self) -> None:
        """Say that this worker accepts clients."""
        with contextlib.suppress(BrokenPipeError):  # the supervisor is gone, which the lifeline tells too
            os.write(self.news, _READY)


class Crew(Protocol):
    """The workers of one configuration."""

    @property
    def count(self) -> int:
        """How many they are."""

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What they accept clients from; closed when no crew has them any more, so that clients are refused."""

    def begin(self) -> None:
        """Prepare a process: each worker's, and the supervisor's once they are the ones who serve."""

    def work(self, station: Station) -> None:
        """Do what a worker does, in a process of its own, with all signals that matter blocked at first."""

    def renew(self) -> Crew:
        """Make the crew of the configuration as it is now. Raises StartError where there can be none."""


@dataclass(slots=True)
class Place:
    """What the supervisor has of one of the workers, and of those who were it before. Times are monotonic."""

    crew: Crew
    number: int
    row: int
    is_retired: bool = False
    pid: int = 0  # 0 while nobody is there
    news: int = -1
    heard: bytes = b""
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0  # when somebody is to be there again

    @property
    def is_ready(self) -> bool:
        """Whether the worker accepts clients."""
        return self.heard.startswith(_READY)

    @property
    def reason(self) -> str:
        """Why the worker couldn't begin or go on, if it said so."""
        return self.heard.removeprefix(_READY).decode(errors="replace")

    @property
    def is_due(self) -> bool:
        """Whether somebody has to be put there."""
        return not self.pid and not self.is_retired and self.due <= time.monotonic()

    def fill(self, pid: int, news: int) -> None:
        """Note that a process is there, which says what it has to say into a pipe."""
        os.set_blocking(news, False)
        self.pid, self.news, self.heard = pid, news, b""

    def hear(self) -> None:
        """Take what the worker has to say."""
        with contextlib.suppress(BlockingIOError):
            self.heard += os.read(self.news, MAX_NEWS)

    def tell(self, number: signal.Signals) -> None:
        """Send the worker a signal, if there is one."""
        if self.pid:
            os.kill(self.pid, number)

    def empty(self) -> None:
        """Note that the worker is dead."""
        self.hear()
        os.close(self.news)
        self.pid = 0

    def put_off(self) -> None:
        """Have it filled again: at once if it was held for long or is lost for the first time."""
        now = time.monotonic()
        if now - self.started >= STEADY:
            self.pause = 0.0
        self.due = now + self.pause
        self.pause = min(max(2 * self.pause, FIRST_PAUSE), LAST_PAUSE)
