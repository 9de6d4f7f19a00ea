"""A syslog socket of our own: datagrams at a path, like /dev/log, or at a UDP port of this host.

Anybody who reaches the socket can say what they like, so it is at a path whose folder decides who that is, or on a
loopback address. What was sent while nobody listened is lost: there is no place to go on from.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from submission.popwatch import Batch

MAX_DATAGRAM = 1 << 16
MAX_LINES = 1000
"""Datagrams that are taken at a time."""
MAX_REST = 100
"""Times that datagrams are taken at the end, more than the kernel holds for us."""
_BUFFER = 4 << 20
"""Octets that the kernel may hold for us, if it lets us have them."""


class SyslogSocket:
    """One socket, bound while it lives. Raises OSError."""

    def __init__(self, source: str, address: Path | tuple[str, int]) -> None:
        self._source = source
        self._path = address if isinstance(address, Path) else None
        self._socket = _bind(address)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setblocking(False)

    @property
    def address(self) -> object:
        """Where it is."""
        return self._socket.getsockname()

    def read(self) -> Batch | None:
        """What was sent since; None where that is nothing."""
        lines: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while len(lines) < MAX_LINES:
                datagram = self._socket.recv(MAX_DATAGRAM)
                lines.append(datagram.rstrip(b"\n\0"))
        # A line end inside is somebody's attempt to be several lines; there is one header, so there is one line.
        good = [line for line in lines if line and b"\n" not in line]
        return Batch(self._source, good, "") if lines else None

    def rest(self) -> Iterator[Batch]:
        """What was sent by the time that this is called; at a path nobody sends more from now on."""
        self._unlink()
        for _ in range(MAX_REST):
            batch = self.read()
            if batch is None:
                return
            yield batch

    def close(self) -> None:
        """Unbind it."""
        self._unlink()
        self._socket.close()

    def _unlink(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None  # whoever has it next is another


def _bind(address: Path | tuple[str, int]) -> socket.socket:
    if isinstance(address, Path):
        family, where = socket.AF_UNIX, str(address)
        if address.is_socket():  # left behind by somebody who ended without ceremony
            address.unlink()
    else:
        family, where = socket.AF_INET6 if ":" in address[0] else socket.AF_INET, address  # type: ignore[assignment]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.bind(where)
        if isinstance(address, Path):
            address.chmod(0o666)  # whoever reaches the folder may write, as to /dev/log
    except OSError:
        sock.close()
        raise
    return sock
