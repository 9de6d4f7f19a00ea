"""Cyrus SASL's own file of accounts, sasldb2.

A key is `user NUL realm NUL property`, a value the octets of the property; what counts is `userPassword`, a password in
the clear. Names are compared octet by octet. What else old releases of Cyrus SASL left there stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from submission.core.databases import DatabaseError, formats
from submission.credentials.store import StoreUnavailableError

_PASSWORD = b"userPassword"
MAX_FILE = 64 << 20
"""Octets; a million accounts are more than half of it."""


def read_passwords(path: Path) -> Iterator[tuple[str, str, str]]:
    """User, realm and password of each account in a file, as they are there, in order of realm and user.

    Octets that aren't UTF-8 become surrogates (PEP 383), which no name or password of ours may hold. Raises
    StoreUnavailableError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise StoreUnavailableError(f"{path}: is larger than {MAX_FILE} octets")
        entries = formats.read(data).entries
    except OSError as error:
        raise StoreUnavailableError(f"{path}: {error.strerror}") from error
    except DatabaseError as error:
        raise StoreUnavailableError(f"{path}: {error}") from None
    names = (tuple(key.split(b"\0")) for key in entries)
    for realm, user in sorted((name[1], name[0]) for name in names if len(name) == 3 and name[2] == _PASSWORD):
        password = entries[b"\0".join((user, realm, _PASSWORD))]
        yield _text(user), _text(realm), _text(password)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
