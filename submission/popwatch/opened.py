"""One log file that is open, and how far it was read.

A place is what a mark says: device, inode, offset behind the last whole line, and a print of the octets before that.
What stands behind the place is half a line, that its writer may yet finish; it is remembered only to know it again.

Prints tell files apart whose lines are much the same, so they are of several lines, and are kept as digests.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import os
import stat
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

MAX_READ = 1 << 20
"""Octets that are read at a time."""
MAX_LINE = 1 << 16
"""Octets of a line; more are skipped, for no login has as many."""
PRINT = 512
"""Octets of a print."""

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What reading raises, of files that aren't whole too."""

_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


def is_compressed(path: Path) -> bool:
    """Whether it is, by its name."""
    return path.suffix in _OPENERS


class Print(NamedTuple):
    """What octets are known by."""

    length: int
    digest: str

    @classmethod
    def of(cls, octets: bytes) -> Print:
        """That of some octets; none have one as well, whose length is 0."""
        return cls(len(octets), hashlib.blake2b(octets, digest_size=12).hexdigest())

    @classmethod
    def decode(cls, value: object) -> Print:
        """Raises ValueError."""
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError("no print")
        return cls(int(value[0]), str(value[1]))

    def begins(self, octets: bytes) -> bool:
        """Whether these octets begin with those that it is of."""
        return self == Print.of(octets[: self.length])


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a file was read."""

    device: int
    inode: int
    offset: int
    before: Print
    written: float  # when the file was last written to, as far as was known
    head: Print  # of its first octets, as far as there were any
    leaves_rest: bool  # as of OpenFile

    def encode(self) -> list[object]:
        """For JSON."""
        return [self.device, self.inode, self.offset, self.before, self.written, self.head, self.leaves_rest]

    @classmethod
    def decode(cls, value: object) -> Mark:
        """Raises ValueError."""
        if not isinstance(value, list) or len(value) != 7:
            raise ValueError("no mark")
        before, head = Print.decode(value[3]), Print.decode(value[5])
        return cls(int(value[0]), int(value[1]), int(value[2]), before, float(value[4]), head, bool(value[6]))


class OpenFile:
    """A file that is open, and how far it was read. Compressed ones are read as if they weren't.

    One that `leaves_rest` may be the copy of a file that was cut off: if it ends in half a line, the rest of that is
    where the next file starts. What is no regular file raises OSError: opening a pipe would wait for its writer, and a
    device has no end.
    """

    def __init__(self, path: Path, leaves_rest: bool = False) -> None:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        opener = _OPENERS.get(path.suffix)
        self._file: IO[bytes] = opener(path) if opener else path.open("rb", buffering=0)
        self.is_plain = opener is None
        self.leaves_rest = leaves_rest
        status = os.fstat(self._file.fileno())
        self.device, self.inode = status.st_dev, status.st_ino
        self.offset = 0
        self.before = b""
        self.first = b""  # the first octets, once they were read
        self.since = time.monotonic()
        self.looked = status.st_mtime
        self._half = b""
        self._is_skipping = False

    @property
    def mark(self) -> Mark:
        """Its place."""
        # Half a first line is as good as the octets themselves, which may have been cut off.
        head = self.head() if self.offset or not self._half else self._half[:PRINT]
        before = Print.of(self.before)
        return Mark(self.device, self.inode, self.offset, before, self.looked, Print.of(head), self.leaves_rest)

    @property
    def written(self) -> float:
        """When the file was last written to."""
        return os.fstat(self._file.fileno()).st_mtime

    @property
    def is_torn(self) -> bool:
        """Whether it ended in half a line when it was last read to its end."""
        return bool(self._half) or self._is_skipping

    def is_cut_off(self) -> bool:
        """Whether what was read is no longer there."""
        known = self.before + self._half
        if not self.is_plain or not known:
            return False
        return os.pread(self._file.fileno(), len(known), self.offset - len(self.before)) != known

    def begin_anew(self, is_rest: bool) -> None:
        """Be read from the start, where the first line is perhaps the rest of one that was cut off."""
        self.offset, self.before, self._half = 0, b"", b""
        self._is_skipping = is_rest

    def lines(self, is_after_torn: bool = False) -> list[bytes] | None:
        """The whole lines of the next octets; None if there are none of these. Raises what is UNREADABLE.

        The first line of a file `is_after_torn`, whose start may have the rest of another file's last, is left out.
        """
        self._file.seek(self.offset)
        data = self._file.read(MAX_READ) or b""
        end = data.rfind(b"\n") + 1
        if not end and len(data) <= MAX_LINE:
            self._half = data
            return None
        self._half = data[end:] if end else b""
        is_rest = self._is_skipping or (is_after_torn and not self.offset)
        self._advance(data[:end] if end else data)  # without an end it is no line that we could want
        lines = data[: end - 1].split(b"\n") if end else []
        if is_rest:
            del lines[:1]
        self._is_skipping = not end
        return [line for line in lines if len(line) <= MAX_LINE]

    def _advance(self, data: bytes) -> None:
        if not self.offset:
            self.first = data[:PRINT]
        self.offset += len(data)
        self.before = (self.before + data)[-PRINT:]

    def head(self) -> bytes:
        """The first octets; none of a file that can't be read."""
        try:
            self._file.seek(0)
            return self._file.read(PRINT) or b""
        except UNREADABLE:
            return b""

    def begins(self, octets: bytes) -> bool:
        """Whether these octets begin with its first ones. Half a line tells nothing: it may be but a date."""
        head = self.head()
        return (b"\n" in head or len(head) == PRINT) and octets.startswith(head)

    def go_on(self, mark: Mark) -> bool:
        """Take up a mark's place, if by the octets before it this is the file that it is of."""
        try:
            self._file.seek(mark.offset - mark.before.length)
            before = self._file.read(mark.before.length) or b""
        except UNREADABLE:
            return False
        if not mark.before.begins(before):
            return False
        self.offset, self.before = mark.offset, before
        self._is_skipping = bool(before) and not before.endswith(b"\n")
        return True

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
