"""Password hashes, and the one form of a password: argon2id and SASLprep. The one importer of passlib.

passlib comes as `libpass`, its maintained continuation under the same import name. Both distributions in one
environment overwrite each other's files, so `check_distributions` says so before anything else goes wrong.

A hash takes about 25 ms of CPU on purpose: these functions belong into threads.
"""

from __future__ import annotations

import importlib.metadata

from passlib.context import CryptContext  # type: ignore[import-untyped]
from passlib.exc import PasslibSecurityError, PasswordSizeError, PasswordValueError  # type: ignore[import-untyped]
from passlib.utils import saslprep  # type: ignore[import-untyped]

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
    """Raise RuntimeError, with the remedy, where passlib and libpass are both installed."""
    names = {distribution.name for distribution in importlib.metadata.distributions()}
    if {"passlib", "libpass"} <= names:
        raise RuntimeError(
            "the distributions passlib and libpass are both installed and overwrite each other's files:"
            " uninstall both, then install libpass alone"
        )


def prepare(text: str) -> str:
    """A name or password as it is compared and kept (SASLprep, RFC 4013).

    Raises ValueError, whose text doesn't repeat the input, where it is too long or holds what none may.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        raise ValueError(f"is longer than {MAX_PASSWORD} octets")
    try:
        return str(saslprep(text))
    except ValueError:
        raise ValueError("holds characters that names and passwords must not have (RFC 4013)") from None


def hash_password(password: str) -> str:
    """The hash to keep of a prepared password."""
    return str(_CONTEXT.hash(password))


def verify(password: str, kept: str) -> bool:
    """Whether the prepared password is the one that was hashed. Without a hash, the time is spent all the same."""
    try:
        is_right = bool(_CONTEXT.verify(password, kept or _NOBODYS_HASH))
    except (ValueError, PasslibSecurityError, PasswordSizeError, PasswordValueError):
        return False  # a hash that isn't one, or a password that none can be made of
    return is_right and bool(kept)
