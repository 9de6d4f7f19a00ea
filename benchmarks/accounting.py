"""CPU time and memory of a family of processes: one program, with everything that descends from it.

The kernel adds a process's time to its parent once that has waited for it, so a family's time loses nothing when
children come and go, as long as they aren't orphaned. /proc/PID/stat tells that in ticks of 10 ms, too coarse where a
hundred processes share the work; /proc/PID/task/*/schedstat tells nanoseconds, of the threads that still live. The
greater of the two is nearer the truth, for neither ever counts too much.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")

QUIET = 0.15
"""Seconds that a family is watched for whether it has finished what it was doing."""
IDLE = 0.01
"""The share of QUIET that one may use which has: timers go on."""
PATIENCE = 60.0
"""Seconds that it has for it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    started: int
    """In ticks since the machine started: together with the pid it names a process for good."""
    own: float
    """Seconds of user and system time."""
    inherited: float
    """The same of children which were waited for."""

    @classmethod
    def read(cls, pid: int) -> Process | None:
        """The process, or None where there is no such process any more. Source: proc(5), /proc/PID/stat."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # the program's name may hold anything; state is the first after it
        user, system, child_user, child_system = (int(field) * TICK for field in fields[11:15])
        return cls(pid, int(fields[19]), max(user + system, _time_of_threads(pid)), child_user + child_system)

    def is_running(self) -> bool:
        """Whether it still exists."""
        present = Process.read(self.pid)
        return present is not None and present.started == self.started


def family(pid: int) -> list[Process]:
    """A process and all that descend from it, as far as they exist."""
    process = Process.read(pid)
    if process is None:
        return []
    return [process, *(member for child in _children(pid) for member in family(child))]


def cpu_time(pids: Iterable[int]) -> float:
    """Seconds of CPU that these families have used so far, once they have finished what they were doing."""
    pids = list(pids)
    end = time.monotonic() + PATIENCE
    before = _sum(pids)
    while time.monotonic() < end:
        time.sleep(QUIET)
        now = _sum(pids)
        if abs(now - before) <= IDLE * QUIET:
            return now
        before = now
    raise TimeoutError(f"process {pids[0]} doesn't come to rest")


def memory(pid: int) -> int:
    """KiB of memory that a family takes, what processes share counted once (PSS)."""
    return sum(proportional_size(process.pid) for process in family(pid))


def _sum(pids: Iterable[int]) -> float:
    return sum(process.own + process.inherited for pid in pids for process in family(pid))


def _time_of_threads(pid: int) -> float:
    """Seconds that its living threads were on a processor."""
    nanoseconds = 0
    for path in _of_threads(pid, "schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            nanoseconds += int(path.read_text().split()[0])
    return nanoseconds / 1e9


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for path in _of_threads(pid, "children"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            children += map(int, path.read_text().split())
    return children


def _of_threads(pid: int, name: str) -> list[Path]:
    """The files of this name of its living threads; none where the process has just ended."""
    try:
        return list(Path(f"/proc/{pid}/task").glob(f"*/{name}"))
    except OSError:
        return []


def proportional_size(pid: int) -> int:
    """KiB of memory of a process, with its part of what it shares; 0 where there is none."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
