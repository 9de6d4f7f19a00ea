"""Which process serves a connection, and whether processes are still there: the kernel's tables have it all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def find_worker(pids: Iterable[int], client_port: int) -> int | None:
    """The process among `pids` that holds the other end of the connection from this port of 127.0.0.1."""
    link = f"socket:[{_inode(client_port)}]"
    return next((pid for pid in pids if link in _descriptors(pid)), None)


def _descriptors(pid: int) -> Iterator[str]:
    """What the descriptors of a process lead to, as far as they, and it, are there long enough to be looked at."""
    with contextlib.suppress(FileNotFoundError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield str(descriptor.readlink())


def _inode(client_port: int) -> str:
    """That of the socket whose other end has this port."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2] == f"0100007F:{client_port:04X}":
            return fields[9]
    return "none"


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asks for is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
