"""A syslog socket of our own: datagrams at a path, like /dev/log, or at a UDP port of this host.

Anybody who reaches the socket can say what they like, so it is at a path whose folder decides who that is, or on a
loopback address. What was sent while nobody listened is lost: there is no place to go on from.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from submission.popwatch import Batch

MAX_DATAGRAM = 1 << 16
MAX_LINES = 1000
"""Datagrams that are taken at a time."""
_BUFFER = 4 << 20
"""Octets that the kernel may hold for us, if it lets us have them."""


class SyslogSocket:
    """One socket, bound while it lives. Raises OSError."""

    def __init__(self, source: str, address: Path | tuple[str, int]) -> None:
        self._source = source
        self._path = address if isinstance(address, Path) else None
        if self._path is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            with contextlib.suppress(FileNotFoundError):
                if self._path.is_socket():
                    self._path.unlink()
            self._socket.bind(str(self._path))
            self._path.chmod(0o666)  # whoever reaches the folder may write, as to /dev/log
        else:
            assert isinstance(address, tuple)
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.bind(address)
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

    def close(self) -> None:
        """Unbind it."""
        self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
