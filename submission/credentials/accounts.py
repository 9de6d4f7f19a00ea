"""What an admin does with accounts: the changes that submission-passwd and `submission user` make.

One password gives every credential that its login is to have: a hash, keys for SCRAM, and a sealed secret unless the
admin wants none kept. They change together, in one transaction.
"""

from __future__ import annotations

from dataclasses import replace

from submission.core.addresses import Login
from submission.core.sasl import Need
from submission.credentials.hashing import hash_password, prepare, verify
from submission.credentials.scram import make_keys
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, Store

SECRET = "secret"  # noqa: S105 - what a sealed value is good for, see sealing.py


class AccountError(Exception):
    """The change can't be made. The text tells the admin why, and holds no secret."""


class NoSuchUserError(AccountError):
    """The store has no such login."""

    def __init__(self, login: Login) -> None:
        super().__init__(f"{login}: no such user")


def parse_login(text: str, default_realm: str) -> Login:
    """A login as it is kept. Raises AccountError."""
    try:
        login = Login.parse(text, default_realm)
        # Parsed again, for preparing may leave nothing of a half, or make it longer.
        return Login.parse(f"{prepare(login.user)}@{prepare(login.realm)}", default_realm)
    except ValueError as error:
        raise AccountError(f"user name: {error}") from None


def set_password(
    store: Store, sealer: Sealer, login: Login, password: str, *, may_create: bool, keep_secret: bool
) -> None:
    """Set or change a password; a login that is disabled stays so. Raises AccountError, StoreUnavailableError."""
    try:
        prepared = prepare(password)
    except ValueError as error:
        raise AccountError(f"password: {error}") from None
    if not prepared:
        raise AccountError("password: must not be empty")
    renewed = renew(Record(login), prepared)  # outside the transaction, for it takes its time
    secret = sealer.seal(prepared, login, SECRET) if keep_secret else ""

    def change(record: Record | None) -> Record:
        if record is None and not may_create:
            raise NoSuchUserError(login)
        return replace(
            record or Record(login),
            password=renewed.password,
            scram_sha_256=renewed.scram_sha_256,
            scram_sha_1=renewed.scram_sha_1,
            secret=secret,
        )

    store.change(login, change)


def renew(record: Record, password: str) -> Record:
    """The record with hash and keys of today's costs, of a prepared password. Raises StoreUnavailableError."""
    return replace(
        record,
        password=hash_password(password),
        scram_sha_256=make_keys(password, Need.SCRAM_SHA_256),
        scram_sha_1=make_keys(password, Need.SCRAM_SHA_1),
    )


def delete(store: Store, login: Login) -> None:
    """Remove a login and all that is kept of it. Raises NoSuchUserError, StoreUnavailableError."""

    def change(record: Record | None) -> None:
        if record is None:
            raise NoSuchUserError(login)

    store.change(login, change)


def set_disabled(store: Store, login: Login, *, is_disabled: bool) -> None:
    """Let a login be refused, or let it in again. Raises NoSuchUserError, StoreUnavailableError."""

    def change(record: Record | None) -> Record:
        if record is None:
            raise NoSuchUserError(login)
        return replace(record, is_disabled=is_disabled)

    store.change(login, change)


def is_password(store: Store, login: Login, password: str) -> bool:
    """Whether a client would get in with it. Raises NoSuchUserError, StoreUnavailableError."""
    record = store.read(login)
    if record is None:
        raise NoSuchUserError(login)
    try:
        return verify(prepare(password), record.password) and not record.is_disabled
    except ValueError:
        return False
