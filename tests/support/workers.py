"""Which process serves a connection, and whether processes are still there: the kernel's tables have it all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def find_worker(pids: Iterable[int], client_port: int) -> int | None:
    """The process among `pids` that holds the other end of the connection from this port of 127.0.0.1."""
    links = _links(client_port)
    return next((pid for pid in pids if not links.isdisjoint(_descriptors(pid))), None)


def _descriptors(pid: int) -> Iterator[str]:
    """What the descriptors of a process lead to, as far as they, and it, are there long enough to be looked at."""
    with contextlib.suppress(FileNotFoundError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield str(descriptor.readlink())


def _links(client_port: int) -> set[str]:
    """What descriptors of sockets whose other end has this port lead to; one of another server's may be among them."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {f"socket:[{row[9]}]" for row in rows if row[2] == f"0100007F:{client_port:04X}"}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asks for is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
