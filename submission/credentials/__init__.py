"""Accounts: what is kept of them, how it is kept, and who a client is. The one importer of passlib and SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

from submission.config.settings import Settings
from submission.credentials.authenticator import Authenticator
from submission.credentials.database import DatabaseStore, warm_up
from submission.credentials.sealing import Sealer
from submission.credentials.store import Store

__all__ = ["open_authenticator", "open_store", "warm_up"]


def open_store(url: str) -> Store:
    """The store of a URL, whose path is absolute: `sqlite:/var/lib/submission/users.db`.

    Raises StoreUnavailableError.
    """
    return DatabaseStore(Path(url.removeprefix("sqlite:")))


def open_authenticator(settings: Settings) -> Authenticator:
    """Who answers the sessions' questions. Raises StoreUnavailableError."""
    return Authenticator(open_store(settings.store.url), Sealer.from_file(settings.store.key_file), settings.auth.realm)
