"""The file of the keys that seal: a line `KEYID base64(key)` for each, the first of which seals.

It is made at the first use, complete before it has its name, and whoever comes second uses it too. It only ever changes
as a whole, so that no reader sees half of it: `add` puts a new key before the others, `retire` leaves the first alone.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from submission.credentials.store import StoreUnavailableError

_MAX_FILE = 64 * 1024
_KEY_LINE = re.compile(r"(?P<id>[0-9a-f]{8}) (?P<key>[A-Za-z0-9+/]{43}=)")


class KeyFile:
    """One file. Raises StoreUnavailableError throughout."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = None

    def read_or_make(self) -> dict[str, bytes]:
        """The keys by their ids, the one that seals first; of a file that is made if it isn't there."""
        with _translated(self._path):
            if not self._path.exists():
                self._write([_new_line()], is_new=True)
        return self.read()

    def read(self) -> dict[str, bytes]:
        """The keys by their ids, the one that seals first."""
        with _translated(self._path):
            seen = self._identify()
            keys = _parse(self._path, self._text())
            self._seen = seen
            return keys

    def has_changed(self) -> bool:
        """Whether the file is another than was read last. Takes microseconds."""
        try:
            return self._identify() != self._seen
        except OSError:
            return False  # whoever knows the keys goes on

    def add(self) -> None:
        """Have a new key seal from now on; the others go on opening."""
        with _translated(self._path):
            self.read()
            self._write([_new_line(), *self._text().splitlines(keepends=True)])

    def retire(self) -> None:
        """Have only the key that seals, for nothing is sealed by the others any more."""
        with _translated(self._path):
            self.read()
            self._write(self._text().splitlines(keepends=True)[:1])

    def _identify(self) -> object:
        status = self._path.stat()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _text(self) -> str:
        with self._path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_FILE).decode("ascii", "replace")
        if mode & 0o077:
            raise StoreUnavailableError(
                f"{self._path}: has mode {mode:04o}, so others than its owner may use it; chmod 600 it, and think of"
                " new passwords"
            )
        return text

    def _write(self, lines: list[str], *, is_new: bool = False) -> None:
        """Put a whole file into place; a new one only if there is none, for if somebody was faster theirs stays."""
        folder = self._path.parent
        owner = (folder if is_new else self._path).stat()
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{self._path.name}.")  # mode 0600
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, self._path)
            else:
                temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _parse(path: Path, text: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _KEY_LINE.fullmatch(line)
        if match is None:
            raise StoreUnavailableError(f"{path}:{number}: not a key, which is 8 hex digits, a blank and 44 of base64")
        if match["id"] in keys:
            raise StoreUnavailableError(f"{path}:{number}: the key's id is that of another key")
        keys[match["id"]] = binascii.a2b_base64(match["key"])
    if not keys:
        raise StoreUnavailableError(
            f"{path}: is empty; restore it from a backup, or remove it and set all passwords anew"
        )
    return keys


def _new_line() -> str:
    return f"{secrets.token_hex(4)} {base64.b64encode(secrets.token_bytes(32)).decode()}\n"


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(f"{path}: {error.strerror}") from error
