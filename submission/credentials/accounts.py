"""What an admin does with accounts: the changes that submission-passwd and `submission user` make.

One password gives every credential that its login is to have: a hash, keys for SCRAM, and a sealed secret unless the
admin wants none kept. They change together, in one transaction. A store that keeps passwords in the clear gets the
password alone.
"""

from __future__ import annotations

from dataclasses import replace

from submission.core.addresses import Login
from submission.core.sasl import Need
from submission.credentials import clear
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
    store: Store, sealer: Sealer | None, login: Login, password: str, *, may_create: bool, keep_secret: bool
) -> None:
    """Set or change a password; a login that is disabled stays so. Raises AccountError, StoreUnavailableError.

    `sealer` may be None where it has nothing to seal: in a store that keeps passwords in the clear.
    """
    # Outside the transaction, for it takes its time.
    made = make_record(store, sealer, login, password, keep_secret=keep_secret)

    def change(record: Record | None) -> Record:
        if record is None and not may_create:
            raise NoSuchUserError(login)
        kept = record or Record(login)
        return reseal(sealer, replace(made, is_disabled=kept.is_disabled, app_passwords=kept.app_passwords))

    store.change(login, change)


def make_record(store: Store, sealer: Sealer | None, login: Login, password: str, *, keep_secret: bool) -> Record:
    """All that is to be kept of a password in this store. Raises AccountError, StoreUnavailableError.

    For a thread: it takes a tenth of a second of CPU.
    """
    if store.keeps_clear and not keep_secret:
        raise AccountError(
            f"{login}: nothing would be kept, for this store keeps recoverable passwords and nothing else"
        )
    try:
        prepared = prepare(password)
    except ValueError as error:
        raise AccountError(f"password: {error}") from None
    if not prepared:
        raise AccountError("password: must not be empty")
    if store.keeps_clear:
        return Record(login, clear=prepared)
    record = renew(Record(login), prepared)
    return replace(record, secret=sealer.seal(prepared, login, SECRET)) if sealer and keep_secret else record


def reseal(sealer: Sealer | None, record: Record) -> Record:
    """The record with its secret under the key that seals now; to be called inside of the store's transaction.

    Between the sealing of a secret and its transaction a rekey may have come and gone, and thrown the old key away.
    """
    if sealer is None or not record.secret or sealer.is_current(record.secret):
        return record
    password = sealer.open(record.secret, record.login, SECRET)
    return replace(record, secret=sealer.seal(password, record.login, SECRET))


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
    """Let a login be refused, or let it in again. Raises AccountError, StoreUnavailableError."""
    if store.keeps_clear and is_disabled:
        raise AccountError(
            f"{login}: this store can't keep that a user is disabled; delete the user, or set another password"
        )

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
    if store.keeps_clear:
        return clear.compare(record, password) is not None
    try:
        return verify(prepare(password), record.password) and not record.is_disabled
    except ValueError:
        return False
