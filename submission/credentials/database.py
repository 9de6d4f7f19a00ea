"""The store in a database: one row for each property of a login, keyed (user, realm, property) as in Cyrus's sasldb.

SQLAlchemy stands between, so that another database is another URL. For SQLite, which keeps one host's accounts:

- a change is one transaction that begins with the write lock (BEGIN IMMEDIATE), so parallel writers queue up instead
  of overwriting each other, and a process that is killed leaves either the old record or the new one;
- the journal is SQLite's own, rolled back by whoever opens the file next; it is synced before a change counts;
- the file is made with mode 0600 and belongs to the owner of its folder, whoever runs the command that makes it.
  SQLite gives its journal the same.

A file that was replaced (a backup moved into place) is noticed by its inode, and opened anew.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    Row,
    Select,
    String,
    Table,
    bindparam,
    case,
    create_engine,
    delete,
    func,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateTable

from submission.core.addresses import Login
from submission.core.app_passwords import AppPassword
from submission.core.sasl import Need
from submission.credentials.store import Change, Record, StoreUnavailableError

SETTLED = 1.0
"""Seconds after which a change of the file is sure to give it another time."""
BUSY_TIMEOUT = 15.0
"""Seconds to wait for another process's transaction."""

_PASSWORD, _SECRET, _DISABLED = "password", "secret", "disabled"
_APP = "app-password "  # and its label
_SCRAM_SHA_256, _SCRAM_SHA_1 = "scram-sha-256", "scram-sha-1"

_CREDENTIALS = Table(
    "credentials",
    MetaData(),
    Column("user", String, primary_key=True),
    Column("realm", String, primary_key=True),
    Column("property", String, primary_key=True),
    Column("value", String, nullable=False),
)
_PROPERTIES = {
    Need.PASSWORD: _PASSWORD,
    Need.SECRET: _SECRET,
    Need.SCRAM_SHA_256: _SCRAM_SHA_256,
    Need.SCRAM_SHA_1: _SCRAM_SHA_1,
}
_COLUMNS = _CREDENTIALS.c
_OF_LOGIN = (_COLUMNS.user == bindparam("of_user"), _COLUMNS.realm == bindparam("of_realm"))
# Built once: to build and compile a statement takes three times as long as to run it.
_SELECT = select(_COLUMNS.property, _COLUMNS.value).where(*_OF_LOGIN)
_SELECT_OWN = _SELECT.where(~_COLUMNS.property.startswith(_APP))
_DELETE = delete(_CREDENTIALS).where(*_OF_LOGIN)


class DatabaseStore:
    """A Store in one SQLite file. Raises StoreUnavailableError where the file can't be made or isn't a store."""

    keeps_clear = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_ahead_log = path.with_name(f"{path.name}-wal")
        self._lock = threading.Lock()
        with _translated(path):
            self._file, self._engine = _open(path)

    def read(self, login: Login) -> Record | None:
        """What is kept of a login now."""
        with _translated(self._path), self._current_engine().connect() as connection:
            return _read(connection, login)

    def read_own(self, login: Login) -> Record | None:
        """What is kept of a login now, but for its app passwords."""
        with _translated(self._path), self._current_engine().connect() as connection:
            return _read(connection, login, _SELECT_OWN)

    def version(self) -> object | None:
        """What the file system says of the file, which every transaction writes to.

        Its clock is coarse: of a file that was written to just now it couldn't tell whether it was written to again,
        so such a one has no version. Neither has one that an admin put into SQLite's WAL mode: a change may be in the
        log beside it alone.
        """
        if self._write_ahead_log.exists():
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        if not 0 <= status.st_mtime + SETTLED < time.time():
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def change(self, login: Login, change: Change) -> None:
        """Replace a record in one transaction."""
        with _translated(self._path), self._current_engine().begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            record = change(_read(connection, login))
            connection.execute(_DELETE, _of(login))
            if rows := _rows(record):
                connection.execute(_CREDENTIALS.insert(), rows)

    def serves_all(self, need: Need) -> bool:
        """Whether every login that is let in has this property."""
        wanted, disabled = (
            func.sum(case((_COLUMNS.property == name, 1), else_=0)) for name in (_PROPERTIES[need], _DISABLED)
        )
        query = select(_COLUMNS.user).group_by(_COLUMNS.user, _COLUMNS.realm).having(wanted + disabled == 0).limit(1)
        with _translated(self._path), self._current_engine().connect() as connection:
            return connection.execute(query).first() is None

    def disabled(self) -> Collection[Login]:
        """Every login that is kept and refused."""
        query = select(_COLUMNS.user, _COLUMNS.realm).where(_COLUMNS.property == _DISABLED)
        with _translated(self._path), self._current_engine().connect() as connection:
            return [Login(row.user, row.realm) for row in connection.execute(query)]

    def records(self) -> Iterator[Record]:
        """All that is kept, ordered by realm and user."""
        query = select(_CREDENTIALS).order_by(_COLUMNS.realm, _COLUMNS.user)
        with _translated(self._path), self._current_engine().connect() as connection:
            rows = connection.execute(query).all()
        for (user, realm), group in groupby(rows, lambda row: (row.user, row.realm)):
            yield _record(Login(user, realm), list(group))

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def _current_engine(self) -> Engine:
        with self._lock:
            if _identify(self._path) != self._file:
                self._engine.dispose()
                self._file, self._engine = _open(self._path)
            return self._engine


def warm_up() -> None:
    """Use a store that is thrown away: the library loads parts of itself at their first use."""
    with tempfile.TemporaryDirectory() as folder:
        store = DatabaseStore(Path(folder) / "store.db")
        login = Login("nobody", "nowhere")
        store.change(login, lambda _: Record(login, is_disabled=True))
        store.read(login)
        list(store.records())
        store.close()


def _of(login: Login) -> dict[str, str]:
    return {"of_user": login.user, "of_realm": login.realm}


def _read(connection: Connection, login: Login, query: Select[Any] = _SELECT) -> Record | None:
    rows = connection.execute(query, _of(login)).all()
    return _record(login, rows) if rows else None


def _record(login: Login, rows: Sequence[Row[Any, Any]]) -> Record:
    values = {row.property: row.value for row in rows}
    return Record(
        login,
        password=values.get(_PASSWORD, ""),
        secret=values.get(_SECRET, ""),
        scram_sha_256=values.get(_SCRAM_SHA_256, ""),
        scram_sha_1=values.get(_SCRAM_SHA_1, ""),
        is_disabled=_DISABLED in values,
        app_passwords=tuple(
            app_password
            for name, value in sorted(values.items())
            if name.startswith(_APP)
            and (app_password := AppPassword.decode(name.removeprefix(_APP), value)) is not None
        ),
    )


def _rows(record: Record | None) -> list[dict[str, str]]:
    if record is None:
        return []
    values = {
        _PASSWORD: record.password,
        _SECRET: record.secret,
        _SCRAM_SHA_256: record.scram_sha_256,
        _SCRAM_SHA_1: record.scram_sha_1,
        _DISABLED: "yes" if record.is_disabled else "",
        **{_APP + each.label: each.encode() for each in record.app_passwords},
    }
    return [
        {"user": record.login.user, "realm": record.login.realm, "property": name, "value": value}
        for name, value in values.items()
        if value
    ]


def _open(path: Path) -> tuple[tuple[int, int], Engine]:
    """The file that the path named a moment ago, and an engine for it, which may have got a newer one already."""
    _create(path)
    file = _identify(path)
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode) and mode & stat.S_IRWXO:
        raise StoreUnavailableError(
            f"{path}: has mode {mode:04o}, so everybody may use what is kept of passwords; chmod o= it"
        )
    # isolation_level None: Python's module begins no transactions of its own, so ours are the only ones.
    options = {"timeout": BUSY_TIMEOUT, "isolation_level": None}
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=QueuePool, connect_args=options)
    try:
        with engine.connect() as connection:
            connection.execute(CreateTable(_CREDENTIALS, if_not_exists=True))  # somebody else may be as far as we are
    except SQLAlchemyError:
        engine.dispose()
        raise
    return file, engine


def _identify(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _create(path: Path) -> None:
    """Make an empty file that SQLite takes for a new database, before SQLite would make it with another mode."""
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


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreUnavailableError(f"{path}: {cause}") from error
    except OSError as error:
        raise StoreUnavailableError(f"{path}: {error.strerror}") from error
