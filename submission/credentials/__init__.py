"""Accounts: what is kept of them, how it is kept, and who a client is. The one importer of passlib and SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

from submission.config.settings import Settings
from submission.credentials import database
from submission.credentials.authenticator import Authenticator
from submission.credentials.hashing import check_distributions
from submission.credentials.sealing import Sealer
from submission.credentials.store import Store

__all__ = ["derive_key", "open_authenticator", "open_store", "warm_up"]


def warm_up() -> None:
    """Load all that is used later, before root is dropped: Python's own files may be out of reach then.

    Raises StoreUnavailableError where the libraries that are installed can't be trusted to work.
    """
    check_distributions()
    database.warm_up()


def open_store(url: str) -> Store:
    """The store of a URL, whose path is absolute: `sqlite:/var/lib/submission/users.db`.

    Raises StoreUnavailableError.
    """
    return database.DatabaseStore(Path(url.removeprefix("sqlite:")))


def open_authenticator(settings: Settings, threads: int | None = None) -> Authenticator:
    """Who answers the sessions' questions, in so many threads, one for each CPU unless told.

    Raises StoreUnavailableError.
    """
    store, sealer = open_store(settings.store.url), Sealer.from_file(settings.store.key_file)
    return Authenticator(store, sealer, settings.auth.realm, threads)


def derive_key(settings: Settings, purpose: str) -> bytes:
    """A key of this installation for another purpose. Raises StoreUnavailableError."""
    return Sealer.from_file(settings.store.key_file).derive(purpose)
