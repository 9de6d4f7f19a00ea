"""The system's log, where lines can go instead of standard error: datagrams to the socket of the host's syslogd.

A line is `<priority>`, the local time, `submission[PID]:` and the text, as programs of the same host write it (RFC 3164
section 4.1, without the host's name, which syslogd knows). No socket is kept, so none has to be made anew when syslogd
is restarted, or the process forks.

syslog(3), and the standard library's handler, wait while syslogd doesn't read. Here what can't be sent at once is held
and goes ahead of the next line; what there is no room for is lost, and a line says how many were.
"""

from __future__ import annotations

import contextlib
import enum
import os
import socket
import syslog
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

SOCKET = Path("/dev/log")
MAX_HELD = 1000
"""Lines of a process that wait for syslogd, which takes as few as ten at a time (net.unix.max_dgram_qlen)."""


class Severity(enum.IntEnum):
    """How bad what a line tells is (RFC 3164 section 4.1.1)."""

    ERROR = syslog.LOG_ERR
    WARNING = syslog.LOG_WARNING
    NOTICE = syslog.LOG_NOTICE


class SystemLog:
    """Lines to syslogd, which stamps or keeps the time. Several threads may write; workers inherit it."""

    keeps_time = True

    def __init__(self, facility: str, tell_lost: Callable[[int], str]) -> None:
        """`facility` is a name such as `mail`: which of syslogd's files the lines belong in.

        `tell_lost` makes the line that says how many were lost.
        """
        self._tell_lost = tell_lost
        self._facility: int = getattr(syslog, f"LOG_{facility.upper()}")
        self._path = str(SOCKET)
        self._held: deque[bytes] = deque()
        self._lost = 0
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def write(self, line: str, severity: Severity) -> None:
        """Send a line, or hold it, or count it."""
        with self._lock:
            self._disown()
            if len(self._held) < MAX_HELD:
                self._held.append(self._datagram(line, severity))
            else:
                self._lost += 1
            self._send()

    def flush(self) -> None:
        """Send what is held, as far as syslogd takes it now."""
        with self._lock:
            self._disown()
            self._send()

    def _disown(self) -> None:
        """Leave to the parent what it had held when this process began."""
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._held.clear()
            self._lost = 0

    def _send(self) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            while self._held:
                sock.sendto(self._held[0], self._path)  # OSError: it is busy, or not there; another time
                self._held.popleft()
                if self._lost and not self._held:
                    self._held.append(self._datagram(self._tell_lost(self._lost), Severity.WARNING))
                    self._lost = 0

    def _datagram(self, line: str, severity: Severity) -> bytes:
        start = f"<{self._facility | severity}>{time.strftime('%b %e %H:%M:%S')} submission[{self._owner}]: "
        return (start + line).encode()
