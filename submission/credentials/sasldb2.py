"""Cyrus SASL's own file of accounts, sasldb2, as a store that sendmail's own AUTH and ours share.

A key is `user NUL realm NUL property`, a value the octets of the property; what counts is `userPassword`, a password in
the clear. Names are compared octet by octet. Nothing else is ever written: sasldblistusers2 never ends at a key of
another form. What else is there stays as it is, but for what old releases of Cyrus SASL derived from a password: that
goes with the password, as saslpasswd2 does it, or the old one would go on being good for CRAM-MD5.

The file is read as a whole, when it has changed since it was last read. While saslpasswd2 writes, a read may give some
pages of before and some of after; then the file doesn't parse, or doesn't hold as many entries as it says, and is read
again. shared_file.py has the rules for changing it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from submission.core.addresses import Login
from submission.core.databases import DatabaseError, berkeley_db, formats
from submission.core.sasl import Need
from submission.credentials import shared_file
from submission.credentials.accounts import AccountError, parse_login
from submission.credentials.shared_file import Snapshot
from submission.credentials.store import Change, Record, StoreUnavailableError

MAX_FILE = 64 << 20
"""Octets; half a million accounts take about as many."""
PATIENCE = 2.0
"""Seconds in which a file that is being changed has to be whole again."""

_PASSWORD = b"userPassword"
_DERIVED = (b"cmusaslsecretCRAM-MD5", b"cmusaslsecretDIGEST-MD5", b"cmusaslsecretPLAIN")


@dataclass(frozen=True, slots=True)
class _Table:
    """A file that was read; without one, nothing."""

    entries: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    snapshot: Snapshot | None = None

    def record(self, login: Login) -> Record | None:
        password = self.entries.get(_key(login, _PASSWORD))
        return None if password is None else Record(login, clear=_clear(password))

    def records(self) -> list[Record]:
        """Those of names that can be ours, ordered by realm and user."""
        return [
            Record(login, clear=_clear(password))
            for user, realm, password in _accounts(self.entries)
            if (login := _login(user, realm)) is not None
        ]

    def replaced(self, login: Login, record: Record | None) -> dict[bytes, bytes]:
        """All entries, with this record instead of what was there of the login."""
        gone = {_key(login, property_) for property_ in (_PASSWORD, *_DERIVED)}
        entries = {key: value for key, value in self.entries.items() if key not in gone}
        if record is not None:
            entries[_key(login, _PASSWORD)] = record.clear.encode()
        return entries


class Sasldb2Store:
    """A Store in Cyrus SASL's file. Raises StoreUnavailableError where everybody may read the passwords.

    The file need not be there: the first change makes it.
    """

    keeps_clear = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table = _Table()
        with _translated(path), contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & stat.S_IRWXO:
                raise StoreUnavailableError(
                    f"{path}: has mode {mode:04o}, so everybody may use passwords that are in the clear; chmod o= it,"
                    " and think of new passwords"
                )

    def read(self, login: Login) -> Record | None:
        """What is kept of a login now."""
        return self._current_table().record(login)

    def read_own(self, login: Login) -> Record | None:
        """The same, for Cyrus's file keeps no app passwords."""
        return self.read(login)

    def version(self) -> object | None:
        """What the file system says of the file."""
        return shared_file.version(self._path)

    def change(self, login: Login, change: Change) -> None:
        """Replace a record, and the file with it; done again from the start where somebody else was faster."""
        with _translated(self._path):
            path = Path(os.path.realpath(self._path))  # the rename must not put a file in a link's place
            with shared_file.locked(path):
                end = time.monotonic() + PATIENCE
                while not self._try_change(path, login, change):
                    if time.monotonic() > end:
                        raise StoreUnavailableError(
                            f"{self._path}: another program has it open, or changes it all the time"
                        )
                    time.sleep(shared_file.PAUSE)

    def serves_all(self, need: Need) -> bool:  # noqa: ARG002 - passwords in the clear serve every mechanism
        """Whether every login finds what a mechanism with this need wants."""
        return True

    def disabled(self) -> Collection[Login]:
        """None, for Cyrus's file can't keep that one is."""
        return ()

    def records(self) -> Iterator[Record]:
        """All that is kept, ordered by realm and user."""
        yield from self._current_table().records()

    def close(self) -> None:
        """Nothing is held open."""

    def _current_table(self) -> _Table:
        """The file as it is. Threads may read it twice at once: both are right."""
        with _translated(self._path):
            table, version = self._table, shared_file.version(self._path)
            if version is None or table.snapshot is None or table.snapshot.version != version:
                self._table = table = _read(self._path)
            return table

    def _try_change(self, path: Path, login: Login, change: Change) -> bool:
        try:
            table = _read(path)
        except FileNotFoundError:
            table = _Table()
        before = table.snapshot.data if table.snapshot else None
        if before and formats.name_format(before) != formats.BERKELEY_DB_HASH:
            name = formats.name_format(before)
            raise StoreUnavailableError(f"{path}: is in the format {name}, which is only read here: use saslpasswd2")
        record = table.record(login)
        changed = change(record)
        if changed == record:
            return True
        if changed is not None and (not changed.clear or changed != Record(login, clear=changed.clear)):
            raise StoreUnavailableError(f"{path}: keeps passwords in the clear, and nothing else")
        return shared_file.replace(path, before, berkeley_db.write(table.replaced(login, changed)))


def read_passwords(path: Path) -> Iterator[tuple[str, str, str]]:
    """User, realm and password of each account in a file, as they are there, in order of realm and user.

    Octets that aren't UTF-8 become surrogates (PEP 383), which no name or password of ours may hold. Raises
    StoreUnavailableError.
    """
    with _translated(path):
        entries = _read(path).entries
    for account in _accounts(entries):
        user, realm, password = (octets.decode("utf-8", "surrogateescape") for octets in account)
        yield user, realm, password


def is_sasldb2(path: Path) -> bool:
    """Whether a file is of a format that Cyrus SASL's may be in; False where it can't be read."""
    try:
        with path.open("rb") as file:
            return formats.name_format(file.read(formats.SNIFFED)) not in (None, "SQLite")
    except OSError:
        return False


def _read(path: Path) -> _Table:
    """The file, once it is whole. Raises OSError, StoreUnavailableError."""
    end = time.monotonic() + PATIENCE
    while True:
        snapshot = shared_file.read(path, MAX_FILE + 1)
        trouble = "is being changed all the time"
        try:
            database = formats.read(_checked(snapshot.data))
            # Of a file that nobody has touched for a while a wrong count only tells that a change was cut off once.
            if not snapshot.is_torn and (database.is_complete or snapshot.version is not None):
                return _Table(database.entries, snapshot)
        except DatabaseError as error:
            trouble = str(error)
        if snapshot.version is not None or time.monotonic() > end:
            raise StoreUnavailableError(f"{path}: {trouble}")
        time.sleep(shared_file.PAUSE)


def _checked(data: bytes) -> bytes:
    if not data:
        raise DatabaseError("is empty; restore it from a backup, or remove it and set all passwords anew")
    if len(data) > MAX_FILE:
        raise DatabaseError(f"is larger than {MAX_FILE} octets")
    return data


def _accounts(entries: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    """User, realm and password, ordered by realm and user."""
    names = (key.split(b"\0") for key in entries)
    accounts = sorted((name[1], name[0]) for name in names if len(name) == 3 and name[2] == _PASSWORD)
    for realm, user in accounts:
        yield user, realm, entries[b"\0".join((user, realm, _PASSWORD))]


def _key(login: Login, property_: bytes) -> bytes:
    return b"\0".join((login.user.encode(), login.realm.encode(), property_))


def _login(user: bytes, realm: bytes) -> Login | None:
    """The login of these names, None where nobody can log in by them here."""
    try:
        name = f"{user.decode()}@{realm.decode()}"
        login = parse_login(name, "")
    except (UnicodeDecodeError, AccountError):
        return None
    return login if str(login) == name else None


def _clear(password: bytes) -> str:
    """A password in UTF-8, the only one that clients can be taken to mean; one that isn't serves nobody."""
    try:
        return password.decode()
    except UnicodeDecodeError:
        return ""


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(f"{path}: {error.strerror or os.strerror(error.errno or 0)}") from error
