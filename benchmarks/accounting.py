"""CPU time and memory of a family of processes: one program, with everything that descends from it.

The kernel adds a process's time to its parent once that has waited for it, so a family's time loses nothing when
children come and go, as long as they aren't orphaned. It counts in ticks of 10 ms a process: what is measured has to
take seconds for the error to stay around a percent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")

QUIET = 0.3
"""Seconds without a tick after which a family is taken to have finished."""
PATIENCE = 60.0
"""Seconds that it has for it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    started: int
    """In ticks since the machine started: together with the pid it names a process for good."""
    ticks: int
    """User and system time, that of children which were waited for included."""

    @classmethod
    def read(cls, pid: int) -> Process | None:
        """The process, or None where there is no such process any more. Source: proc(5), /proc/PID/stat."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # the program's name may hold anything; state is the first after it
        return cls(pid, int(fields[19]), sum(map(int, fields[11:15])))

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
    before = _ticks(pids)
    while True:
        time.sleep(QUIET)
        ticks = _ticks(pids)
        if ticks == before:
            return ticks * TICK
        if time.monotonic() > end:
            raise TimeoutError(f"process {pids[0]} doesn't come to rest")
        before = ticks


def memory(pid: int) -> int:
    """KiB of memory that a family takes, what processes share counted once (PSS)."""
    return sum(_proportional_size(process.pid) for process in family(pid))


def _ticks(pids: Iterable[int]) -> int:
    return sum(process.ticks for pid in pids for process in family(pid))


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += map(int, path.read_text().split())
        except OSError:
            continue  # a thread that has just ended
    return children


def _proportional_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
