"""A small file that other programs change too: read as a whole, replaced as a whole, and never left half written.

Two kinds of others are reckoned with. Our own processes take a lock, a file beside it whose name ends in `.lock`. The
program that the file belongs to (saslpasswd2) takes none, and writes in place. So a new file takes the old one's place
only if that still is, octet for octet, what the new one was made from. On Linux a lease on it tells in addition whether
anybody has it open for writing, before and until the new one is in place: what he writes would be lost with the old
file. Where there are no leases, a program that opens it in the same few milliseconds may lose its change.

The new file takes over owner, group, mode, access lists and labels. A process that is killed leaves the old file or the
new one, and perhaps `.NAME.new` or `.NAME.old` beside it, no more open to others than the file is, which the next
change removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

SETTLED = 1.0
"""Seconds after which a change of a file is sure to give it another time."""
LOCK_TIMEOUT = 15.0
"""Seconds to wait for another process's change."""
PAUSE = 0.005
"""Seconds between two looks at what has to be waited for."""


class LockTimeoutError(OSError):
    """Another process of ours holds the lock."""

    def __init__(self) -> None:
        super().__init__(None, "another process has it locked")


def version(path: Path) -> object | None:
    """Something that is equal only as long as a file is unchanged, None where that can't be told; takes microseconds.

    The file system's clock is coarse: of a file that was written to just now it couldn't tell whether it was written
    to again, so such a one has no version.
    """
    try:
        return _version(path.stat())
    except OSError:
        return None


def _version(status: os.stat_result) -> object | None:
    if not 0 <= status.st_mtime + SETTLED < time.time():
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file's octets, and its version when they were read. `is_torn`: it was changed while they were."""

    data: bytes = field(repr=False)
    version: object | None
    is_torn: bool = False


def read(path: Path, most: int) -> Snapshot:
    """At most so many octets of a file. Raises OSError."""
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        data = file.read(most)
        after = os.fstat(file.fileno())
    is_torn = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
    return Snapshot(data, None if is_torn else _version(before), is_torn)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process of ours is here at the same time. Raises OSError, LockTimeoutError among them."""
    descriptor = _open_lock(path.with_name(f"{path.name}.lock"))
    try:
        end = time.monotonic() + LOCK_TIMEOUT
        while not _try_lock(descriptor):
            if time.monotonic() > end:
                raise LockTimeoutError
            time.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)  # and with it goes the lock


def _open_lock(path: Path) -> int:
    """What is there is neither followed nor given away: it may have been put there for root to stumble over."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    _belong_to_folder(descriptor, path.parent)
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def replace(path: Path, before: bytes | None, after: bytes) -> bool:
    """Whether the file was replaced: not if it isn't what it was before. None before: it isn't there, and is made.

    Only for who has the lock, and a path that is no symbolic link. Raises OSError.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(after)
            if before is None:
                _belong_to_folder(file.fileno(), path.parent)
            else:
                _take_after(path, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        if before is None:
            return _link(new, path)
        if not _swap(path, before, new):
            return False
    finally:
        new.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _swap(path: Path, before: bytes, new: Path) -> bool:
    """Put the new file in the old one's place, if that is what it was before and nobody is about to write to it."""
    spare = path.with_name(f".{path.name}.old")
    spare.unlink(missing_ok=True)
    with path.open("rb") as old, _Lease(old) as lease:
        if lease.is_refused or old.read(len(before) + 1) != before:
            return False
        if not lease.is_held:
            new.replace(path)
            return True
        try:
            os.link(path, spare)
            new.replace(path)
            if lease.is_wanted():  # by somebody who has the old file and waits to write to it: let it be the file again
                spare.replace(path)
                return False
        finally:
            spare.unlink(missing_ok=True)
    return True


class _Lease:
    """While it is held nobody else has the file open for writing, and whoever wants to waits (Linux, fcntl(2))."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.is_held = self.is_refused = False

    def __enter__(self) -> Self:
        if not hasattr(fcntl, "F_SETLEASE"):
            return self
        try:
            # Whoever wants to open it has a signal sent to us: one that is ignored, not the deadly SIGIO.
            fcntl.fcntl(self._file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(self._file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            self.is_held = True
        except BlockingIOError:
            self.is_refused = True
        except OSError:  # another's file, or a file system without leases
            pass
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_held:
            fcntl.fcntl(self._file, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def is_wanted(self) -> bool:
        """Whether somebody waits for it."""
        return fcntl.fcntl(self._file, fcntl.F_GETLEASE) != fcntl.F_RDLCK


def _take_after(path: Path, new: int) -> None:
    """Give a new file what the old one has besides its content and times.

    By descriptors, for whoever may write to the folder could put a link in the new file's place, and have root change
    what it leads to.
    """
    with path.open("rb") as file:
        old = file.fileno()
        status, own = os.fstat(old), os.fstat(new)
        if (status.st_uid, status.st_gid) != (own.st_uid, own.st_gid):
            os.fchown(new, status.st_uid, status.st_gid)
        os.fchmod(new, status.st_mode & 0o777)
        for name in _attributes(old):
            with contextlib.suppress(PermissionError):  # a label that only the system gives
                os.setxattr(new, name, os.getxattr(old, name))


def _attributes(descriptor: int) -> list[str]:
    """Names of a file's extended attributes, which access lists and labels are kept in."""
    try:
        return os.listxattr(descriptor) if hasattr(os, "listxattr") else []
    except OSError:  # a file system that has none
        return []


def _link(new: Path, path: Path) -> bool:
    """Give a new file its name, unless somebody was faster."""
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    _sync_folder(path.parent)
    return True


def _belong_to_folder(descriptor: int, folder: Path) -> None:
    """What root makes belongs to the owner of the folder that it is in."""
    if os.geteuid() == 0:
        status = folder.stat()
        os.fchown(descriptor, status.st_uid, status.st_gid)


def _sync_folder(folder: Path) -> None:
    """Let a name that was given or changed outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
