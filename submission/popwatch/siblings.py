"""The files beside a log whose names begin with its name: what rotation has made of those that had the name before.

Whoever renames or compresses them may do so while they are listed, so a name in the list may be nobody's any more.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from submission.popwatch.opened import Mark, OpenFile


class Sibling(NamedTuple):
    """One of them, as it was when it was listed; `written` is when it was last written to."""

    written: float
    path: Path
    device: int
    inode: int

    def is_since(self, moment: float) -> bool:
        """Whether it was written to then or later. Some compressors keep whole seconds only."""
        return self.written >= (int(moment) if self.written.is_integer() else moment)

    def is_of(self, file: OpenFile | Mark) -> bool:
        """Whether it has the number of an open file, or of one that was."""
        return (self.device, self.inode) == (file.device, file.inode)


def list_siblings(path: Path) -> list[Sibling]:
    """The siblings of a log, those that were written to last at the end."""
    names: list[str] = []
    beginnings = f"{path.name}.", f"{path.name}-"
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        names = [entry.path for entry in entries if entry.name.startswith(beginnings)]
    return sorted(sibling for name in names if (sibling := find_sibling(Path(name))) is not None)


def find_sibling(path: Path) -> Sibling | None:
    """What has a name; None if that is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Sibling(status.st_mtime, path, status.st_dev, status.st_ino)
