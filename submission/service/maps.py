"""The files of sendmail's that the table is written to, and those that it was written to before.

A grant that stays in a file outlives its end: sendmail relays for that address for as long as the file says so. So what
files may hold grants is written down before they do (`maps.json`), and those that the configuration no longer names
are emptied, whoever was killed when, and whatever the configuration was meanwhile. One thread at a time writes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from submission import logs
from submission.config.pop import Sendmail
from submission.sendmail.files import MapError, write_access_map, write_text_map

NAME = "maps.json"
MAX_FILE = 64 << 10

Map: TypeAlias = tuple[str, str]
"""`text` or `access`, and the path."""


class Maps:
    """Those of an installation."""

    def __init__(self, settings: Sendmail, folder: Path) -> None:
        self._wanted = frozenset(_wanted(settings))
        self._path = folder / NAME
        self._lock = threading.Lock()

    @property
    def are_wanted(self) -> bool:
        """Whether the configuration names any."""
        return bool(self._wanted)

    @property
    def are_left(self) -> bool:
        """Whether there may be grants in any that it doesn't name."""
        return bool(self._known() - self._wanted)

    def write(self, users: Mapping[str, str]) -> bool:
        """Write addresses and their users to those that are wanted, nothing to others; whether all could be. Blocks."""
        with self._lock:
            known = self._known()
            failed = {each for each in known - self._wanted if not _empty(each)}
            kept = self._wanted | failed
            if kept != known and not self._keep(kept):
                return False
            written = [_write(each, users) for each in sorted(self._wanted)]
            return all(written) and not failed

    def wait(self) -> None:
        """Wait until nobody writes. Blocks."""
        with self._lock:
            pass

    def _known(self) -> frozenset[Map]:
        try:
            with self._path.open("rb") as file:
                return frozenset((str(kind), str(path)) for kind, path in json.loads(file.read(MAX_FILE)))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, TypeError, RecursionError) as error:
            logs.failure("map-failed", error, file=str(self._path))
            return frozenset()

    def _keep(self, maps: Iterable[Map]) -> bool:
        fresh = self._path.with_name(f"{NAME}.new")
        try:
            fresh.write_text(json.dumps(sorted(maps)))
            fresh.replace(self._path)
        except OSError as error:
            logs.event("map-failed", reason=f"{self._path}: {error.strerror}")
            return False
        return True


def _wanted(settings: Sendmail) -> Iterable[Map]:
    if settings.text_map is not None:
        yield "text", str(settings.text_map)
    if settings.access_map is not None:
        yield "access", str(settings.access_map)


def _empty(each: Map) -> bool:
    """Take our grants out of a file; one that is gone has none."""
    return not Path(each[1]).exists() or _write(each, {})


def _write(each: Map, users: Mapping[str, str]) -> bool:
    kind, path = each
    try:
        if kind == "access":
            write_access_map(Path(path), users)
        else:
            write_text_map(Path(path), users)
    except MapError as error:
        logs.event("map-failed", reason=str(error))
        return False
    return True
