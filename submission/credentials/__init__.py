"""Accounts: what is kept of them, how it is kept, and who a client is.

The one importer of passlib, SQLAlchemy, httpx and joserfc; the last two are loaded where tokens are taken only.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from submission.config.settings import Settings
from submission.config.vouchers import OAuth
from submission.core.addresses import Login
from submission.credentials import database
from submission.credentials.authenticator import Authenticator
from submission.credentials.hashing import check_distributions, load_foreign
from submission.credentials.sasldb2 import Sasldb2Store, is_sasldb2
from submission.credentials.sealing import Sealer
from submission.credentials.store import Store
from submission.credentials.tokens import TokenVerifier

__all__ = ["derive_key", "find_store", "open_authenticator", "open_store", "warm_up"]


def warm_up(settings: Settings) -> None:
    """Load all that is used later, before root is dropped: Python's own files may be out of reach then.

    Raises StoreUnavailableError where the libraries that are installed can't be trusted to work.
    """
    check_distributions()
    load_foreign()
    database.warm_up()
    if settings.auth.oauth.issuer:
        for name in ("submission.credentials.issuer", "anyio._backends._asyncio", "httpcore._backends.anyio"):
            importlib.import_module(name)


def open_store(url: str) -> Store:
    """The store of a URL, whose path is absolute: `sqlite:/var/lib/submission/users.db` or `sasldb2:/etc/sasldb2`.

    Raises StoreUnavailableError.
    """
    scheme, _, path = url.partition(":")
    return Sasldb2Store(Path(path)) if scheme == "sasldb2" else database.DatabaseStore(Path(path))


def find_store(name: str) -> str:
    """The URL of a store that somebody calls by its path, which what is there decides on, or by its URL already."""
    scheme, colon, path = name.partition(":")
    if not colon or scheme not in ("sqlite", "sasldb2"):
        scheme, path = "sasldb2" if is_sasldb2(Path(name)) else "sqlite", name
    return f"{scheme}:{Path(path).absolute()}"


def open_authenticator(settings: Settings, threads: int | None = None) -> Authenticator:
    """Who answers the sessions' questions, in so many threads, one for each CPU unless told.

    Raises StoreUnavailableError.
    """
    store, sealer = open_store(settings.store.url), Sealer.from_file(settings.store.key_file)
    store.read(Login("nobody", "nowhere"))  # what is wrong with the file is told now, not at the first login
    return Authenticator(store, sealer, settings.auth.realm, threads, open_tokens(settings.auth.oauth))


def open_tokens(settings: OAuth) -> TokenVerifier | None:
    """Who says whose a token is, None where tokens are not taken."""
    if not settings.issuer:
        return None
    from submission.credentials.issuer import open_issuer  # here, for it takes a seventh of a second

    return TokenVerifier(settings, open_issuer(settings))


def derive_key(settings: Settings, purpose: str) -> bytes:
    """A key of this installation for another purpose. Raises StoreUnavailableError."""
    return Sealer.from_file(settings.store.key_file).derive(purpose)
