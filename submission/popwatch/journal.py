"""The journal, by `journalctl --follow --output=json`, whose cursor is the place to go on from.

Its fields with an underscore are the journal's own word on who wrote a line, which no text can forge.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time

from submission import logs
from submission.popwatch import Batch

COMMAND = ("journalctl", "--follow", "--output=json", "--quiet")
FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_UID,_COMM,_EXE,_SYSTEMD_UNIT,_HOSTNAME,__REALTIME_TIMESTAMP"
MAX_ENTRY = 1 << 20
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
SINCE = "-1h"
"""From where it is read the first time."""


class Journal:
    """One journalctl at a time; another one when it ends."""

    def __init__(self, position: str = "", command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._cursor = position
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._pause = FIRST_PAUSE
        self._due = 0.0

    def read(self) -> Batch | None:
        """The entries since; None where there are none now."""
        if self._process is None and not self._start():
            return None
        data = self._receive()
        self._buffer += data
        if len(self._buffer) > MAX_ENTRY and b"\n" not in self._buffer:
            self._buffer = b""
        *lines, self._buffer = self._buffer.split(b"\n")
        entries = []
        for line in lines:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("__CURSOR"), str):
                    self._cursor = entry["__CURSOR"]
                    entries.append(entry)
        # Each has journald's own word on when it was, and one that comes now may be of long ago.
        return Batch("journal", entries, self._cursor, is_live=False) if entries else None

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _start(self) -> bool:
        if time.monotonic() < self._due:
            return False
        where = f"--after-cursor={self._cursor}" if self._cursor else f"--since={SINCE}"
        command = [*self._command, f"--output-fields={FIELDS}", where]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            self._wait(f"journalctl: {error.strerror}")
            return False
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        return True

    def _receive(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        data = self._process.stdout.read(MAX_ENTRY)
        if data:
            self._pause = FIRST_PAUSE
            return data
        if data == b"":
            status = self._process.wait()
            self.close()
            self._buffer = b""
            self._wait(f"journalctl ended with {status}")
        return b""

    def _wait(self, reason: str) -> None:
        logs.warning("journal-lost", reason=reason)
        self._due = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LAST_PAUSE)
