"""The state in one SQLite file, in WAL mode: readers and the writer don't wait for each other.

A transaction that a process didn't live to end never was; one that ended may be undone by a failure of power, not by
one of processes, for only checkpoints are synced: what is kept here is worth no sync each time.

A file that isn't a database, or is damaged, is put aside (`state.db.damaged`) and begun anew: what is in it can be
done without, and a service that doesn't start can't.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from submission import logs
from submission.state import NOTICED, Entry, Revision, StateUnavailableError, Take, Transaction

T = TypeVar("T")

AT_A_TIME = 1000
"""Entries that are read into memory together."""
SETTLED = 1.0
"""Seconds after which a change of a file is sure to give it another time."""
BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's transaction."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, until REAL NOT NULL, revision INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_revision ON entries (kind, revision);
CREATE INDEX IF NOT EXISTS by_end ON entries (until);
CREATE TABLE IF NOT EXISTS revision (making TEXT NOT NULL, number INTEGER NOT NULL);
INSERT INTO revision SELECT lower(hex(randomblob(8))), 0 WHERE NOT EXISTS (SELECT * FROM revision);
"""


class SqliteState:
    """A State in one file, which is made with mode 0600 for the owner of its folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        # Whoever reads doesn't wait for one of us who waits for another process's transaction.
        self._writing, self._reading = _Connection(path), _Connection(path)
        for each in (self._writing, self._reading):
            with each.borrowed():  # opening may write, too
                pass

    def change(self, change: Callable[[Transaction], T]) -> T:
        """Change entries in one transaction, which begins with the lock on writing."""
        with self._writing.borrowed() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                (revision,) = connection.execute("UPDATE revision SET number = number + 1 RETURNING number").fetchone()
                result = change(_SqliteTransaction(connection, revision))
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite itself gives up where the disk is full
                    connection.execute("ROLLBACK")
                raise
            return result

    def changes(self, kind: str, since: Revision | None, take: Take) -> Revision:
        """Give what changed since a revision, and tell that of now."""
        with self._reading.borrowed() as connection:
            connection.execute("BEGIN")
            try:
                revision = Revision(*connection.execute("SELECT making, number FROM revision").fetchone())
                is_all = since is None or since.making != revision.making
                number = -1 if since is None or is_all else since.number
                rows = connection.execute(
                    "SELECT key, value, until FROM entries WHERE kind = ? AND revision > ?", (kind, number)
                )
                take(_fetch(rows), is_all)
                while entries := _fetch(rows):
                    take(entries, False)
                return revision
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    def sweep(self, now: float) -> None:
        """Drop what has ended, and what was removed once that is noticed: an index finds it."""
        with self._writing.borrowed() as connection:
            connection.execute(
                "DELETE FROM entries WHERE until < ? AND (value <> '' OR until < ?)", (now, now - NOTICED)
            )

    def version(self) -> object | None:
        """What the file system says of the file and its log; nothing while they are so new that it couldn't tell."""
        statuses = []
        for path in (self._path, self._log):
            try:
                status = path.stat()
            except OSError:
                return None
            if not 0 <= status.st_mtime + SETTLED < time.time():
                return None
            statuses.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(statuses)

    def close(self) -> None:
        """Close the file."""
        self._writing.close()
        self._reading.close()


class _Connection:
    """A connection to the file that a path names, for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[sqlite3.Connection]:
        """Have it. Raises StateUnavailableError, also in place of what is raised of the file meanwhile."""
        with self._lock, _translated(self._path):
            yield self._current()

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._forget()

    def _current(self) -> sqlite3.Connection:
        """That to the file of now: somebody may have removed or replaced it."""
        if self._connection is not None and _identify(self._path) == self._file:
            return self._connection
        self._forget()
        try:
            self._connection = _open(self._path)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            _put_aside(self._path)
            self._connection = _open(self._path)
        self._file = _identify(self._path)
        return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection, revision: int) -> None:
        self._connection = connection
        self._revision = revision

    def get(self, kind: str, key: str) -> Entry | None:
        row = self._connection.execute(
            "SELECT key, value, until FROM entries WHERE kind = ? AND key = ?", (kind, key)
        ).fetchone()
        return Entry(*row) if row else None

    def put(self, kind: str, entry: Entry) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
            (kind, entry.key, entry.value, entry.until, self._revision),
        )

    def remove(self, kind: str, key: str) -> None:
        # Readers have to see it, and it has to be there for as long as they may need.
        self._connection.execute(
            "UPDATE entries SET value = '', until = MIN(until, ?), revision = ? WHERE kind = ? AND key = ?",
            (time.time() - 1, self._revision, kind, key),
        )


def _fetch(rows: sqlite3.Cursor) -> list[Entry]:
    return [Entry(*row) for row in rows.fetchmany(AT_A_TIME)]


def _open(path: Path) -> sqlite3.Connection:
    _create(path)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Change a new file's mode. SQLite doesn't wait for other processes that are about to do the same; we do."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _create(path: Path) -> None:
    """Make an empty file, before SQLite would make it with another mode; its own other files get the same."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        folder = path.parent.stat()
        if os.geteuid() == 0:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)


def _put_aside(path: Path) -> None:
    logs.warning("state-damaged", file=str(path), aside=f"{path}.damaged")
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(FileNotFoundError):
            name.rename(f"{name}.damaged")


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateUnavailableError(f"{path}: {error}") from error
    except OSError as error:
        raise StateUnavailableError(f"{path}: {error.strerror}") from error
