"""All sources together: asked in turn, none before the others have had theirs."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Protocol

from submission.popwatch import Batch
from submission.popwatch.files import LogFile, expand
from submission.popwatch.journal import Journal
from submission.popwatch.syslog import SyslogSocket

INTERVAL = 0.1
"""Seconds between looks."""
EXPAND_INTERVAL = 5.0
"""Seconds between looks for files that names with wildcards have come to mean."""

_ROTATED = re.compile(r"(?:[.-](?:[0-9][0-9T_.-]*|old|bak))?(?:\.(?:gz|xz|bz2|zst))?\Z")
"""What renaming puts behind a name."""


class _Source(Protocol):
    def read(self) -> Batch | None: ...

    def close(self) -> None: ...


class Watcher:
    """Gives batches from now on."""

    def __init__(
        self, logs: Sequence[str], positions: Mapping[str, str], sockets: Mapping[str, socket.socket] | None = None
    ) -> None:
        """`logs` as in the configuration, with absolute paths; `positions` by source, of the last batches stored.

        `sockets` are those of logs that are syslog's (syslog.py).
        """
        self._positions = dict(positions)
        self._patterns = [log for log in logs if log != "journal" and not log.startswith("syslog:")]
        self._sources: dict[str, _Source] = {}
        for log in logs:
            if log == "journal":
                self._sources[log] = Journal(self._positions.get(log, ""))
            elif log.startswith("syslog:"):
                self._sources[log] = SyslogSocket(log, (sockets or {})[log])
        self._expanded = 0.0

    def batches(self, stop: threading.Event) -> Iterator[Batch]:
        """The lines of all sources, as they come, until told to stop. Blocks.

        The last are those that can't be asked for again.
        """
        while not stop.is_set():
            self._expand()
            was_anything = False
            for source in list(self._sources.values()):
                batch = source.read()
                if batch is not None:
                    was_anything = True
                    yield batch
            if not was_anything:
                stop.wait(INTERVAL)
        for source in self._sources.values():
            if isinstance(source, SyslogSocket):
                yield from source.rest()

    def close(self) -> None:
        """Let go of everything."""
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def _expand(self) -> None:
        now = time.monotonic()
        if self._expanded and now - self._expanded < EXPAND_INTERVAL:
            return
        self._expanded = now
        for pattern in self._patterns:
            found = list(expand(pattern))
            known = {*map(str, found), *self._sources, *self._positions}
            for path in found:
                is_meant = str(path) == pattern or not _is_rotated(str(path), known)
                if is_meant and str(path) not in self._sources:
                    self._sources[str(path)] = LogFile(path, self._positions.get(str(path), ""))


def _is_rotated(path: str, known: Container[str]) -> bool:
    """Whether a name with wildcards has found what another that it found once was called before: that has read it."""
    base = _ROTATED.sub("", path)
    return base != path and base in known
