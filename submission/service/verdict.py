"""What the service says of itself in a file: which process it is, and how the last reload ended.

`submission reload` reads it, and is another user's process most of the time: root's. The file is the service's user's,
who could write anything into it; so it is believed only where it names a process of that user's, which began when the
file says. Thus a number that was given to another process since is noticed, too.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "service.json"
MAX_FILE = 64 << 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a process began, or how it reloaded. `code` is a sysexits number, `text` says why it isn't EX_OK."""

    pid: int
    started: int
    """The process, in the system's clock ticks since it was booted."""
    begun: int
    """The start or reload, in nanoseconds of the monotonic clock."""
    code: int
    text: str


def write(folder: Path, begun: int, code: int, text: str) -> None:
    """Say how this process stands. Raises OSError."""
    verdict = Verdict(os.getpid(), _started(os.getpid()), begun, code, text)
    fresh = folder / f"{NAME}.new"
    fresh.write_text(json.dumps(asdict(verdict)))
    fresh.replace(folder / NAME)


def remove(folder: Path) -> None:
    """Say that this process is none any more."""
    with contextlib.suppress(OSError):
        (folder / NAME).unlink()


def read(folder: Path) -> Verdict | None:
    """What the service that runs on a folder says; None where there is none. Raises PermissionError."""
    try:
        file = os.open(folder / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError:
        raise
    except OSError:
        return None
    try:
        owner = os.fstat(file).st_uid
        verdict = _parse(os.read(file, MAX_FILE))
        if verdict.started == _started(verdict.pid) and Path(f"/proc/{verdict.pid}").stat().st_uid == owner:
            return verdict
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    finally:
        os.close(file)
    return None


def _parse(text: bytes) -> Verdict:
    """Raises ValueError, TypeError or RecursionError."""
    verdict = Verdict(**json.loads(text))
    numbers = (verdict.pid, verdict.started, verdict.begun, verdict.code)
    if any(type(number) is not int for number in numbers) or type(verdict.text) is not str:
        raise TypeError
    return verdict


def _started(pid: int) -> int:
    """When a process began (proc(5), /proc/PID/stat, field 22). Raises OSError where there is none now."""
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state == "Z":
        raise ProcessLookupError
    return int(fields[18])
