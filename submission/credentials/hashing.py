"""Password hashes, and the one form of a password: argon2id and SASLprep. The one importer of passlib.

passlib comes as `libpass`, its maintained continuation under the same import name. Both distributions in one
environment overwrite each other's files, so `check_distributions` says so before anything else goes wrong.

A hash takes about 25 ms of CPU on purpose: these functions belong into threads.
"""

from __future__ import annotations

import importlib.metadata

from passlib.context import CryptContext  # type: ignore[import-untyped]
from passlib.utils import saslprep  # type: ignore[import-untyped]

from submission.credentials.store import StoreUnavailableError

MAX_PASSWORD = 1024
"""Octets of a password."""

# OWASP's choice for argon2id: 19 MiB, two passes, one lane (RFC 9106 section 4 has the bounds).
_CONTEXT = CryptContext(
    schemes=["argon2"],
    argon2__type="ID",
    argon2__memory_cost=19456,
    argon2__time_cost=2,
    argon2__parallelism=1,
)
_NOBODYS_HASH = _CONTEXT.hash("nobody's password")
"""Made when the module is loaded: passlib looks for its backend at the first use, which must not be a client's login,
nor come after root is dropped and the library's files may be out of reach."""


def check_distributions() -> None:
    """Raise StoreUnavailableError, with the remedy, where passlib and libpass are both installed."""
    for name in ("passlib", "libpass"):
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return
    raise StoreUnavailableError(
        "the distributions passlib and libpass are both installed and overwrite each other's files:"
        " uninstall both, then install libpass alone"
    )


def prepare(text: str) -> str:
    """A name or password as it is compared and kept (SASLprep, RFC 4013).

    Raises ValueError, whose text doesn't repeat the input, where it is too long or holds what none may: control
    characters, private use, text of both directions, and characters that are younger than Unicode 3.2.
    """
    _check_length(text)
    try:
        prepared = str(saslprep(text))
    except ValueError:
        raise ValueError("holds characters that names and passwords must not have (RFC 4013)") from None
    _check_length(prepared)  # some characters become eighteen
    return prepared


def _check_length(text: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        raise ValueError(f"is longer than {MAX_PASSWORD} octets")


def hash_password(password: str) -> str:
    """The hash to keep of a prepared password. Raises StoreUnavailableError where memory is short."""
    try:
        return str(_CONTEXT.hash(password))
    except ValueError:  # passlib's word for whatever argon2 couldn't do
        raise StoreUnavailableError("passwords can't be hashed: is there memory enough?") from None


def verify(password: str, kept: str) -> bool:
    """Whether the prepared password is the one that was hashed; the time is spent whatever `kept` is.

    Raises StoreUnavailableError where memory is short. That must not pass for a wrong password: mail programs throw
    away a password that was refused.
    """
    try:
        return bool(_CONTEXT.verify(password, kept or _NOBODYS_HASH)) and bool(kept)
    except ValueError:  # a hash that isn't one, a password that none can be made of, or no memory: which of them?
        _verify_nobodys()
        return False


def _verify_nobodys() -> None:
    try:
        _CONTEXT.verify("", _NOBODYS_HASH)
    except ValueError:
        raise StoreUnavailableError("passwords can't be checked: is there memory enough?") from None


def needs_update(kept: str) -> bool:
    """Whether a hash was made with other costs than today's."""
    return bool(_CONTEXT.needs_update(kept))
