"""A log file, followed through its rotations.

What is open stays open, so a file that was renamed is read to its end, for a while longer than its writer needs to
notice. Every look compares three things:

    the name's device and inode      another file now: read the old one on, and the new one from its start
    the size                         less than was read: cut off in place (copytruncate)
    the octets before the place      not those that were read: cut off, and written beyond the place since

What was cut off may have lines that we haven't seen; if so they are in a copy beside it, whose octets before the place
are ours. The same search finds, after a restart, a file that was renamed and maybe compressed meanwhile. Whichever came
between it and the one that has the name now is told by its time, which renaming and compressing keep, and by its first
octets, which are those of no file that was read already.

A place is what a mark says: device, inode, offset behind the last whole line, and up to 64 octets before that. Files
are looked at ten times a second, which is quick enough for somebody who reads mail and then sends some, costs a second
of CPU in an hour, and works on every file system; there is nothing to be woken by on some of them.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from submission import logs
from submission.popwatch import Batch

MAX_READ = 1 << 20
"""Octets that are read at a time."""
MAX_LINE = 1 << 16
"""Octets of a line; more are skipped, for no login has as many."""
LINGER = 120.0
"""Seconds that a file is read on after another has its name: until its writer has been told to open the new one."""
MAX_FILES = 16
_PRINT = 64
_REMEMBERED = 16
_TRIES, _PAUSE = 4, 0.02

_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a file was read."""

    device: int
    inode: int
    offset: int
    before: bytes
    written: float  # when the file was last written to, as far as was known
    head: bytes  # its first octets, as far as there were any

    def encode(self) -> list[object]:
        """For JSON."""
        return [self.device, self.inode, self.offset, self.before.hex(), self.written, self.head.hex()]

    @classmethod
    def decode(cls, value: object) -> Mark:
        """Raises ValueError."""
        if not isinstance(value, list) or len(value) != 6:
            raise ValueError("no mark")
        before, head = (bytes.fromhex(str(value[place])) for place in (3, 5))
        return cls(int(value[0]), int(value[1]), int(value[2]), before, float(value[4]), head)


class _Open:
    """A file that is open, and how far it was read. Compressed ones are read as if they weren't."""

    def __init__(self, path: Path, offset: int = 0, before: bytes = b"") -> None:
        opener = _OPENERS.get(path.suffix)
        self._file: IO[bytes] = opener(path) if opener else path.open("rb", buffering=0)
        self.is_plain = opener is None
        status = os.fstat(self._file.fileno())
        self.device, self.inode = status.st_dev, status.st_ino
        self.offset = offset
        self.before = before
        self.first = b""  # the first octets, once they were read
        self.since = time.monotonic()
        self.looked = status.st_mtime
        self._is_skipping = False

    @property
    def mark(self) -> Mark:
        return Mark(self.device, self.inode, self.offset, self.before, self.looked, self.head())

    @property
    def written(self) -> float:
        """When the file was last written to."""
        return os.fstat(self._file.fileno()).st_mtime

    def is_cut_off(self) -> bool:
        """Whether what was read is no longer there."""
        if not self.is_plain or not self.offset:
            return False
        if os.fstat(self._file.fileno()).st_size < self.offset:
            return True
        return os.pread(self._file.fileno(), len(self.before), self.offset - len(self.before)) != self.before

    def lines(self) -> list[bytes]:
        """The next whole lines; none if there are none."""
        while True:
            self._file.seek(self.offset)
            data = self._file.read(MAX_READ) or b""
            end = data.rfind(b"\n") + 1
            if not end and len(data) <= MAX_LINE:
                return []
            self._advance(data[:end] if end else data)  # without an end it is no line that we could want
            lines = data[: end - 1].split(b"\n") if end else []
            if self._is_skipping:
                del lines[:1]
            self._is_skipping = not end
            lines = [line for line in lines if len(line) <= MAX_LINE]
            if lines:
                return lines

    def _advance(self, data: bytes) -> None:
        if not self.offset:
            self.first = data[:_PRINT]
        self.offset += len(data)
        self.before = (self.before + data)[-_PRINT:]

    def head(self) -> bytes:
        """The first octets."""
        self._file.seek(0)
        return self._file.read(_PRINT) or b""

    def has_read(self, mark: Mark) -> bool:
        """Whether this is the file of a mark, by the octets before its place."""
        start = mark.offset - len(mark.before)
        try:
            self._file.seek(start)
            return self._file.read(len(mark.before)) == mark.before
        except (OSError, EOFError):
            return False

    def close(self) -> None:
        self._file.close()


class LogFile:
    """One name, and the files that have it one after the other; `position` is that of an earlier run's last batch."""

    def __init__(self, path: Path, position: str = "") -> None:
        self._path = path
        self._files: list[_Open] = []  # in the order of their lines; the last one has the name
        self._trouble = ""
        self._is_live = False
        self._heads: deque[bytes] = deque(maxlen=_REMEMBERED)  # of files that were read, for they may come in new forms
        self._is_known = bool(position)  # whether somebody has a place of ours
        if position:
            self._resume(position)
        else:
            self._look()

    def read(self) -> Batch | None:
        """The next lines; None where there are none now."""
        self._look()
        if self._files and not self._is_known:
            self._is_known = True
            return Batch(str(self._path), [], self._position(), is_live=False)
        for file in list(self._files):
            try:
                lines = file.lines()
            except (OSError, EOFError, lzma.LZMAError) as error:
                self._complain(f"{type(error).__name__}")
                self._drop(file)
                continue
            if lines:
                if file.first and file.first not in self._heads:
                    self._heads.append(file.first)
                return Batch(str(self._path), lines, self._position(), self._is_live, file.written)
            if file is not self._files[-1] and self._is_over(file):
                self._drop(file)
        self._is_live = True  # whatever comes from now on was written after we had all
        return None

    def close(self) -> None:
        """Let go of all files."""
        for file in self._files:
            file.close()
        self._files.clear()

    def _position(self) -> str:
        last = self._files[-1]
        marks = [mark.encode() for file in self._files if (mark := file.mark).offset or mark.head or file is last]
        return json.dumps([marks, [head.hex() for head in self._heads]], separators=(",", ":"))

    def _look(self) -> None:
        """See what became of the name."""
        current = self._files[-1] if self._files else None
        if current is not None and current.is_cut_off():
            self._begin_anew(current)
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            self._complain(error.strerror or str(error))
            return
        if current is not None and (status.st_dev, status.st_ino) == (current.device, current.inode):
            if not current.offset and status.st_mtime != current.looked:
                self._files.pop()  # it may have been cut off before anything of it was read
                self._open_since(current.looked)
                self._files.append(current)
            current.looked = status.st_mtime
            return
        if current is not None:
            current.since = time.monotonic()
            self._open_since(current.looked)
        self._open(self._path)

    def _is_over(self, file: _Open) -> bool:
        """Whether nothing more is to be expected in a file that was read to its end and hasn't the name any more."""
        return not file.is_plain or len(self._files) > MAX_FILES or time.monotonic() - file.since > LINGER

    def _begin_anew(self, file: _Open) -> None:
        """Read a file that was cut off from its start, behind what a copy of it has of the old lines."""
        mark = file.mark
        for _ in range(_TRIES):
            copies = self._siblings()
            number = self._find(copies[::-1], mark)
            copy = self._try_open(copies[::-1][number], mark) if number is not None else None
            if copy is not None:
                self._files.insert(len(self._files) - 1, copy)
                break
            time.sleep(_PAUSE)
        file.offset, file.before = 0, b""

    def _resume(self, position: str) -> None:
        """Open what an earlier run hadn't read to its end, and what came since."""
        try:
            encoded, heads = json.loads(position)
            marks = [Mark.decode(value) for value in encoded]
            self._heads.extend(bytes.fromhex(head) for head in heads)
        except (ValueError, TypeError):
            self._complain("the place that was kept for it makes no sense")
            return
        for attempt in range(_TRIES):  # while somebody renames or compresses, a file may be nowhere for a moment
            if attempt:
                time.sleep(_PAUSE)
            self.close()
            if self._reopen(marks):
                self._open_what_came(marks[-1])
                return
        if marks and not marks[-1].offset:
            self._open_since(marks[-1].written)
        else:
            logs.warning("log-place-lost", file=str(self._path))

    def _open_what_came(self, mark: Mark) -> None:
        """Open what came since the last file that was read."""
        last = self._files[-1]
        if self._path.exists() and self._path.stat().st_ino != last.inode:
            self._open_since(mark.written)
        elif not last.offset:  # it may have been cut off, and what was in it is in a copy, which comes before it
            self._files.pop()
            self._open_since(mark.written)
            self._files.append(last)

    def _reopen(self, marks: list[Mark]) -> bool:
        """Open the files that were read, at their places; whether the last of them was found."""
        paths = [*self._siblings(), self._path]
        found = None
        for mark in marks:
            number = self._find(paths, mark)
            found = self._try_open(paths[number], mark) if number is not None else None
            if found is not None:
                if mark.offset and (head := found.head()) not in self._heads:
                    self._heads.append(head)
                self._files.append(found)
        return found is not None

    def _open_since(self, written: float) -> None:
        """Open files that had the name since one that was written to at that time, and have another by now."""
        known = {(file.device, file.inode) for file in self._files}
        heads = [*self._heads, *(head for file in self._files if (head := file.head()))]
        for path in self._siblings():
            with contextlib.suppress(OSError, EOFError):
                if path.stat().st_mtime < written:
                    continue
                file = _Open(path)
                head, identity = file.head(), (file.device, file.inode)
                file.close()
                if head and identity not in known and not any(map(head.startswith, heads)):
                    self._open(path)

    def _find(self, paths: list[Path], mark: Mark) -> int | None:
        """Which file a mark is of: the very one, or else one with its content."""
        like = None
        for number, path in enumerate(paths):
            file = self._try_open(path, mark)
            if file is None:
                continue
            file.close()
            if (file.device, file.inode) == (mark.device, mark.inode):
                return number
            like = number if like is None else like
        return like

    def _siblings(self) -> list[Path]:
        """Files beside it whose names begin with its name, the oldest first."""
        found = []
        with contextlib.suppress(OSError):
            for path in self._path.parent.glob(f"{_escape(self._path.name)}[.-]*"):
                with contextlib.suppress(OSError):
                    if path.is_file():
                        found.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(found)]

    def _try_open(self, path: Path, mark: Mark) -> _Open | None:
        """The file, if it is the one that was read up to a mark."""
        try:
            file = _Open(path, mark.offset, mark.before)
        except OSError:
            return None
        if self._is_of(file, mark):
            return file
        file.close()
        return None

    def _is_of(self, file: _Open, mark: Mark) -> bool:
        """Whether a mark is of this file, by what is in it; the number alone may have been given to another."""
        if mark.offset:
            return file.has_read(mark)
        head = file.head()
        if mark.head:
            return head.startswith(mark.head)
        is_known = head and any(map(head.startswith, self._heads))
        return (file.device, file.inode) == (mark.device, mark.inode) and not is_known

    def _open(self, path: Path) -> None:
        try:
            file = _Open(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._complain(error.strerror or str(error))
            return
        self._trouble = ""
        self._files.append(file)

    def _drop(self, file: _Open) -> None:
        self._files.remove(file)
        file.close()

    def _complain(self, reason: str) -> None:
        """Tell the log once what is the matter."""
        if reason != self._trouble:
            self._trouble = reason
            logs.warning("log-unreadable", file=str(self._path), reason=reason)


def _escape(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def expand(pattern: str) -> Iterator[Path]:
    """The files that a name with wildcards means now; a name without is itself, whether it is there or not."""
    path = Path(pattern)
    if not any(char in pattern for char in "*?["):
        yield path
        return
    yield from sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
