"""A syslog socket of our own: datagrams at a path, like /dev/log, or at a UDP port of this host.

Anybody who reaches the socket can say what they like, so it is at a path whose folder decides who that is, or on a
loopback address. It is made before whoever reads it (bind_syslog), and outlasts him: what is sent meanwhile waits in
it.
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
    """What comes by one socket. That isn't ours to close: whoever reads it next goes on where we end."""

    def __init__(self, source: str, sock: socket.socket) -> None:
        self._source = source
        self._socket = sock

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
        """What was sent by the time that this is called."""
        for _ in range(MAX_REST):
            batch = self.read()
            if batch is None:
                return
            yield batch

    def close(self) -> None:
        """Nothing of ours is open."""


def syslog_address(log: str) -> Path | tuple[str, int]:
    """Where `syslog:/path` or `syslog:127.0.0.1:5514` is."""
    where = log.removeprefix("syslog:")
    if where.startswith("/"):
        return Path(where)
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port)


def bind_syslog(log: str) -> socket.socket:
    """The socket of a log of that kind, which needn't be read at once. Raises OSError."""
    address = syslog_address(log)
    if isinstance(address, Path):
        family, where = socket.AF_UNIX, str(address)
        if address.is_socket():  # left behind by somebody who ended without ceremony
            address.unlink()
    else:
        family, where = socket.AF_INET6 if ":" in address[0] else socket.AF_INET, address  # type: ignore[assignment]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.bind(where)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.setblocking(False)
        if isinstance(address, Path):
            address.chmod(0o666)  # whoever reaches the folder may write, as to /dev/log
    except OSError:
        sock.close()
        raise
    return sock
