"""A log file, followed through its rotations.

What is open stays open, so a file that was renamed is read to its end, for a while longer than its writer needs to
notice. Every look compares two things:

    the name's device and inode      another file now: read the old one on, and the new one from its start
    the octets around the place      not those that were read: cut off in place (copytruncate)

What was cut off may have lines that we haven't seen; if so they are in a copy beside it, whose octets before the place
are ours. The same search finds, after a restart, a file that was renamed and maybe compressed meanwhile. Whichever came
between it and the one that has the name now is told by its time, which renaming and compressing keep, and by its first
octets, which are those of no file that was read already.

A line that was torn in two by a cut is none, and neither is its rest, which looks like whatever the client wanted that
chose the line's text. So where the copy, or what we saw last, ends in half a line, the first line after the cut is
dropped. What is written between copying and cutting is lost to everybody.

Files are looked at ten times a second, which is quick enough for somebody who reads mail and then sends some, costs a
few seconds of CPU in an hour, and works on every file system; there is nothing to be woken by on some of them.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from submission import logs
from submission.popwatch import Batch
from submission.popwatch.opened import UNREADABLE, Mark, OpenFile, Print, is_compressed
from submission.popwatch.siblings import Sibling, find_sibling, list_siblings

LINGER = 120.0
"""Seconds that a file is read on after another has its name: until its writer has been told to open the new one."""
MAX_FILES = 16
_REMEMBERED = 16
_TRIES, _PAUSE = 4, 0.02
_LOOKS = 20
"""How often names are read that don't stand still."""


class LogFile:
    """One name, and the files that have it one after the other; `position` is that of an earlier run's last batch."""

    def __init__(self, path: Path, position: str = "") -> None:
        self._path = path
        self._files: list[OpenFile] = []  # in the order of their lines; the last one has the name
        self._trouble = ""
        self._is_live = False
        self._heads: deque[Print] = deque(maxlen=_REMEMBERED)  # of files that were read, for they may come in new forms
        self._is_known = bool(position)  # whether somebody has a place of ours
        if position:
            self._resume(position)
        self._look()

    def read(self) -> Batch | None:
        """The next lines; None where there are none now."""
        self._look()
        if self._files and not self._is_known:
            self._is_known = True
            return Batch(str(self._path), [], self._position(), is_live=False)
        earlier = None
        for file in list(self._files):
            try:
                lines = file.lines(earlier is not None and earlier.leaves_rest and earlier.is_torn)
            except UNREADABLE as error:
                self._complain(f"{type(error).__name__}")
                self._drop(file)
                continue
            if lines is not None:  # perhaps none, of an endless line: others have their turn, and there is a new place
                self._remember(file.first)
                return Batch(str(self._path), lines, self._position(), self._is_live, file.written)
            if file is not self._files[-1] and self._is_over(file):
                self._drop(file)
            if earlier is not None and file.offset:
                earlier.leaves_rest = False  # not for any other
            earlier = file
        self._is_live = bool(self._files)  # whatever comes from now on was written after we had all
        return None

    def close(self) -> None:
        """Let go of all files."""
        for file in self._files:
            file.close()
        self._files.clear()

    def _position(self) -> str:
        marks = [file.mark.encode() for file in self._files]
        return json.dumps([marks, list(self._heads)], separators=(",", ":"))

    def _remember(self, head: bytes) -> None:
        """Know a file by its first octets, once it was read."""
        if head and not self._is_known_head(head):
            self._heads.append(Print.of(head))

    def _is_known_head(self, head: bytes) -> bool:
        return any(known.begins(head) for known in self._heads)

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
                self._open_since(current.looked)  # it may have been cut off before anything of it was read
            current.looked = status.st_mtime
            return
        latest = self._open(self._path)
        if latest is None:
            return
        if current is not None:
            current.since = time.monotonic()
            self._open_since(min(current.looked, current.written), latest)
        self._files.append(latest)

    def _is_over(self, file: OpenFile) -> bool:
        """Whether nothing more is to be expected in a file that was read to its end and hasn't the name any more."""
        if len(self._files) > MAX_FILES:
            return True
        following = self._files[self._files.index(file) + 1]
        if file.leaves_rest and file.is_torn and not following.offset:
            return False
        return not file.is_plain or time.monotonic() - file.since > LINGER

    def _begin_anew(self, file: OpenFile) -> None:
        """Read a file that was cut off from its start, behind what a copy of it has of the old lines."""
        copy = self._find_copy(file.mark)
        file.begin_anew(is_rest=file.is_torn and copy is None)
        if copy is not None:
            self._files.insert(len(self._files) - 1, copy)

    def _find_copy(self, mark: Mark) -> OpenFile | None:
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE)
            copy = self._find(list_siblings(self._path), mark)
            if copy is not None:
                return copy
        return None

    def _resume(self, position: str) -> None:
        """Open what an earlier run hadn't read to its end, and what came since."""
        try:
            encoded, heads = json.loads(position)
            marks = [Mark.decode(value) for value in encoded]
            self._heads.extend(map(Print.decode, heads))
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
        if not marks or marks[-1].offset:
            logs.warning("log-place-lost", file=str(self._path))
        if marks:
            self._open_since(marks[-1].written)

    def _open_what_came(self, mark: Mark) -> None:
        """Open what came since the last file that was read."""
        last = self._files[-1]
        if not last.offset or not self._has_name(last):
            self._open_since(mark.written)

    def _has_name(self, file: OpenFile) -> bool:
        """Whether the name is this file's, or nobody's."""
        try:
            status = self._path.stat()
        except OSError:
            return True
        return (status.st_dev, status.st_ino) == (file.device, file.inode)

    def _reopen(self, marks: list[Mark]) -> bool:
        """Open the files that were read, at their places; whether the last of them was found."""
        siblings, named = list_siblings(self._path), find_sibling(self._path)
        all_files = [*siblings, named] if named is not None else siblings
        found = None
        for mark in marks:
            # Numbers are used again, and only the last of them had the name.
            found = self._find(all_files if mark is marks[-1] or mark.head.length else siblings, mark)
            if found is not None:
                if mark.offset:
                    self._remember(found.head())
                self._files.append(found)
        return found is not None

    def _open_since(self, written: float, latest: OpenFile | None = None) -> None:
        """Open files that had the name since one that was written to at that time, and before the `latest`.

        They come behind those that are open; but the last of these may have been cut off if nothing of it was read.
        """
        found = self._open_candidates(written, [*self._files, latest] if latest is not None else self._files)
        if self._files and not self._files[-1].offset:
            found.append(self._files.pop())
        self._files += sorted(found, key=lambda file: file.written)

    def _open_candidates(self, written: float, known: list[OpenFile]) -> list[OpenFile]:
        """Files that were written to since that time, and aren't known.

        Whoever renames or compresses may do so just now, so that one is missed under its old name and under its new
        one. So the names are read until they stand still, and what was found once stays found.
        """
        found: list[OpenFile] = []
        before = None
        for _ in range(_LOOKS):
            siblings = list_siblings(self._path)
            names = {(each.path, each.device, each.inode) for each in siblings}
            if names == before:
                break
            before = names
            # One that is being compressed is there twice; the compressed one isn't whole yet.
            for sibling in sorted(siblings, key=lambda each: is_compressed(each.path)):
                file = self._open_candidate(sibling, written, [*known, *found])
                if file is not None:
                    found.append(file)
        return found

    def _open_candidate(self, sibling: Sibling, written: float, known: list[OpenFile]) -> OpenFile | None:
        if not sibling.is_since(written) or any(sibling.is_of(each) for each in known):
            return None
        try:
            file = OpenFile(sibling.path, leaves_rest=True)
        except OSError:
            return None
        head = file.head()
        # All heads are read now, for files are written to, cut off and copied while we look.
        if head and not self._is_known_head(head) and not any(each.begins(head) for each in known):
            return file
        file.close()
        return None

    def _find(self, siblings: list[Sibling], mark: Mark) -> OpenFile | None:
        """The file that a mark is of, at its place: the very one, or else one with its content."""
        siblings = sorted(siblings, reverse=True)  # most likely it was written to of late
        # One that is being compressed isn't whole yet.
        for sibling in sorted(siblings, key=lambda each: (not each.is_of(mark), is_compressed(each.path))):
            file = self._try_open(sibling.path, mark)
            if file is not None:
                return file
        return None

    def _try_open(self, path: Path, mark: Mark) -> OpenFile | None:
        """The file, if it is the one that was read up to a mark."""
        try:
            file = OpenFile(path)
        except OSError:
            return None
        is_same = (file.device, file.inode) == (mark.device, mark.inode) and mark.head.length  # numbers come again
        file.leaves_rest = path != self._path and (mark.leaves_rest or not is_same)
        if self._is_of(file, mark):
            return file
        file.close()
        return None

    def _is_of(self, file: OpenFile, mark: Mark) -> bool:
        """Whether a mark is of this file, by what is in it; the number alone may have been given to another."""
        if mark.offset:
            return file.go_on(mark)
        head = file.head()
        if mark.head.length:
            return mark.head.begins(head)
        is_same = (file.device, file.inode) == (mark.device, mark.inode)
        return is_same and not (head and self._is_known_head(head))

    def _open(self, path: Path) -> OpenFile | None:
        try:
            file = OpenFile(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain(error.strerror or str(error))
            return None
        self._trouble = ""
        return file

    def _drop(self, file: OpenFile) -> None:
        self._files.remove(file)
        file.close()

    def _complain(self, reason: str) -> None:
        """Tell the log once what is the matter."""
        if reason != self._trouble:
            self._trouble = reason
            logs.warning("log-unreadable", file=str(self._path), reason=reason)


def expand(pattern: str) -> Iterator[Path]:
    """The files that a name with wildcards means now; a name without is itself, whether it is there or not."""
    path = Path(pattern)
    if not any(char in pattern for char in "*?["):
        yield path
        return
    yield from sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
