"""Messages whose end the relay has and whose reply it owes, noted where no death of a process makes them forgotten.

Theory. From the final dot to the relay's reply nobody can know whether a message was delivered (docs/faults.md), and
the log has to say so. A worker that is killed then can't say it. So each message is noted before its end goes out, and
struck out once it is in the log, in a file that all processes of a service have mapped. Memory is all that it costs:
the file is never synced, for only processes are to be outlived, not a crash of the machine. Each worker has a row of
its own, so that no two write to the same place.

The supervisor tells of those that a dead worker leaves behind, and a service at its start of those that one before it
left, which was killed with all its processes. One lock, held through the descriptor that all of these share, shows that
the last of them is gone: workers that lost their supervisor end their transactions, and tell of them themselves.

The file's pages are written when it is made: a disk that is full later is no reason to be killed by a write to memory.
"""

from __future__ import annotations

import fcntl
import mmap
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SLOTS = 256
"""Messages that a worker can have noted at a time; what comes while the relay replies to none of these is not noted."""
SLOT = 512
"""Octets of a note, of which the last are cut off where it is longer: they are the sender's address."""
ROW = SLOTS * SLOT
NOWHERE = -1

_PREFIX = "in-doubt-"
# A slot begins with a 1 where something is noted in it. Then come the values of a Note, each with a NUL behind it.


class Note(NamedTuple):
    """A message, as far as it is known before it is over: what the log has in its line."""

    id: str
    address: str
    via: str
    recipients: int
    size: int
    user: str | None
    sender: str

    @classmethod
    def decode(cls, octets: bytes) -> Note:
        """Out of its slot; empty or 0 where it isn't what was noted."""
        texts = octets.decode("utf-8", "replace").split("\0")
        message, address, via, recipients, size, user, sender = (*texts, *[""] * 7)[:7]
        return cls(message, address, via, _number(recipients), _number(size), user or None, sender)


class Notes:
    """The row of one worker."""

    def __init__(self, row: memoryview) -> None:
        self._row = row
        self._free = list(range(0, ROW, SLOT))

    def note(
        self, message: str, address: str, via: str, recipients: int, size: int, user: str | None, sender: bytes
    ) -> int:
        """Note a message, as a Note will have it; where it stands, which is NOWHERE if there is no room."""
        if not self._free:
            return NOWHERE
        place = self._free.pop()
        known = f"{message}\0{address}\0{via}\0{recipients}\0{size}\0{user or ''}\0"
        octets = (known.encode("utf-8", "replace") + sender + b"\0")[: SLOT - 1]
        self._row[place + 1 : place + 1 + len(octets)] = octets
        self._row[place] = 1  # last, for only now it is one
        return place

    def strike(self, place: int) -> None:
        """Take back what was noted there."""
        if place != NOWHERE:
            self._row[place] = 0
            self._free.append(place)


class InDoubt:
    """The notes of all workers, in a file of the folder `state_dir`; to be made before they are. Raises OSError."""

    def __init__(self, state_dir: Path, rows: int) -> None:
        self._descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=state_dir)
        self._path = Path(name)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with open(self._descriptor, "wb", closefd=False) as file:
            file.write(bytes(rows * ROW))
        self._memory = memoryview(mmap.mmap(self._descriptor, rows * ROW))

    def row(self, number: int) -> Notes:
        """What the worker with this number notes in, from 0 on."""
        return Notes(self._memory[number * ROW : (number + 1) * ROW])

    def take(self, number: int) -> list[Note]:
        """The messages that a dead worker has left behind, which are forgotten here."""
        row = self._memory[number * ROW : (number + 1) * ROW]
        found = list(_read(bytes(row)))
        if found:
            row[:] = bytes(ROW)
        return found

    def remove(self) -> None:
        """Let nobody look for more in here: all workers are gone, and what they left was taken."""
        self._path.unlink(missing_ok=True)


def take_left(state_dir: Path) -> list[Note]:
    """The messages that services left behind which were killed as a whole; their files are removed. Raises OSError."""
    found: list[Note] = []
    for path in sorted(state_dir.glob(f"{_PREFIX}*")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # somebody lives who has it from that service, and will tell, or leave it to the next
            found += _read(file.read())
            path.unlink()
    return found


def _read(rows: bytes) -> Iterator[Note]:
    for place in range(0, len(rows), SLOT):
        if rows[place]:
            yield Note.decode(rows[place + 1 : place + SLOT])


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
