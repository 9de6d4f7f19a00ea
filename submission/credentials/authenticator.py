"""Who a client is: the session's questions to the store, answered off the event loop.

A question costs one hop to a thread: the record is read there, and the password is hashed and compared. Hashing is what
takes time, so a password that was right a moment ago is remembered, as a keyed digest over the name and the password,
with the hash that it was right for: where the record has another now, it is not. As long as the store says that nothing
changed since, not even the record has to be read, and the answer is there at once. So every change counts at once.

Threads and the queue before them are bounded; whoever finds the queue full is told to come again, and learns nothing.
An unknown user, a disabled one, a name that can't be one and a wrong password all take a hash's time and give None.
Likewise a secret that isn't kept takes the time of opening one, and keys that aren't there look like others (scram.py).

A right password whose hash was made with other costs than today's is hashed anew, so that a change of these costs
reaches everybody who logs in; so do keys for SCRAM, which records of version 0.1 didn't have.

A store that keeps passwords in the clear is answered for by clear.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from submission import logs
from submission.core import app_passwords
from submission.core.addresses import Login
from submission.core.app_passwords import AppPassword
from submission.core.sasl import Need
from submission.core.sasl.scram_keys import HASHES, ScramKeys
from submission.credentials import clear
from submission.credentials.accounts import SECRET, AccountError, parse_login, renew, set_disabled
from submission.credentials.hashing import is_foreign, needs_update, prepare, verify
from submission.credentials.scram import Decoys
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, Store, StoreUnavailableError
from submission.credentials.successes import REMEMBERED, REMEMBERED_FOR, Success, Successes
from submission.credentials.tokens import TokenRefusedError, TokenVerifier

MAX_WAITING = 128
"""Questions under way; at 25 ms of CPU each, that is a few seconds of waiting."""
LOOKED_AGAIN = 1.0
"""Seconds after which it is asked again whether a login that sends was disabled."""

_NOBODY = Login("nobody", "nowhere")

_T = TypeVar("_T")


class Authenticator:
    """Answers for one process."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        default_realm: str,
        threads: int | None = None,
        tokens: TokenVerifier | None = None,
    ) -> None:
        """`tokens` may be missing where no mechanism is offered that takes them."""
        self._store = store
        self._sealer = sealer
        self._decoys = Decoys(sealer.derive("decoys for SCRAM"))
        self._nobodys_secret = sealer.seal("nobody's password", _NOBODY, SECRET)
        self._default_realm = default_realm
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="credentials")
        self._tokens = tokens
        self._waiting = 0
        self._successes = Successes()
        self.held_back: frozenset[Need] = frozenset()
        """What some login lacks, as far as `look` found; see there."""
        self._looked: object | None = None
        self._enabled: dict[Login, tuple[object | None, float]] = {}  # in which version of the store, looked at when
        self._disabled: tuple[frozenset[str], object | None, float] = frozenset(), None, -math.inf  # likewise

    async def look(self) -> None:
        """Find out what not every login has. Raises StoreUnavailableError.

        A client takes the first mechanism that it knows, and gives up where that fails. So one that only some logins
        could use would lock out the others: those whose hashes came from elsewhere, until their next login by PLAIN.
        """
        version = self._store.version()
        if version is None or version != self._looked:
            self.held_back = await self._in_thread(
                lambda: frozenset(need for need in HASHES if not self._store.serves_all(need))
            )
            self._looked = version

    async def check_password(self, name: str, password: str, address: str = "") -> Login | None:
        """The login, if the password is its own. Raises StoreUnavailableError."""
        login = self._successes.recall(name, password, self._store.version()) or await self._in_thread(
            lambda: self._check(name, password)
        )
        if login is not None:
            self._successes.note(name, password, address)
        return login

    def remembers(self, name: str, password: str, address: str) -> bool:
        """Whether the password was right a moment ago, from this very address, and nothing changed since.

        Who may know it at once doesn't wait for a penalty: a guesser elsewhere would have his answer without it.
        """
        version = self._store.version()
        return self._successes.recall(name, password, version, address) is not None

    async def find_app_password(self, name: str, password: str, address: str) -> tuple[Login, AppPassword] | None:
        """Whose app password it is, if it is one that is good now, from this address. Raises StoreUnavailableError."""
        if not app_passwords.digest(password):
            return None
        return await self._in_thread(lambda: self._find_app_password(name, password, address))

    async def fetch_secret(self, name: str) -> tuple[Login, bytes] | None:
        """Login and password, for a mechanism that computes with it; None where none is kept.

        Raises StoreUnavailableError.
        """
        return await self._in_thread(lambda: self._fetch(name))

    async def fetch_keys(self, name: str, need: Need) -> tuple[Login | None, ScramKeys]:
        """Login and keys for SCRAM; without a login, keys that look like others. Raises StoreUnavailableError."""
        return await self._in_thread(lambda: self._fetch_keys(name, need))

    async def check_token(self, name: str, token: str) -> Login | None:
        """The login that a bearer token is for, if `name` is empty or that login's too.

        Raises IssuerUnavailableError, StoreUnavailableError.
        """
        if self._tokens is None:
            return None
        try:
            user = await self._tokens.user(token)
        except TokenRefusedError as error:
            logs.event("token-refused", user=name or None, reason=str(error))
            return None
        return await self.find_login(user, name)

    async def find_login(self, user: str, name: str) -> Login | None:
        """The login of a user for whom somebody else vouched, if it exists and `name` is empty or that login's too.

        `user` has to be written as the login is kept: to others, who prepare names in another way or not at all, what
        looks the same may be another person. Raises StoreUnavailableError.
        """
        return await self._in_thread(lambda: self._find(user, name))

    async def is_enabled(self, login: Login) -> bool:
        """Whether a login that was proved before may still be used. Raises StoreUnavailableError.

        It is asked at each message, so a yes is good for a second, and for as long as nothing changes in the store.
        """
        now = time.monotonic()
        seen, looked = self._enabled.get(login, (None, -math.inf))
        if now - looked < LOOKED_AGAIN:
            return True
        version = self._store.version()
        if version is None or version != seen:
            record = await self._in_thread(lambda: self._read(login))
            return record is not None and not record.is_disabled
        self._enabled[login] = version, now
        return True

    async def is_shut_out(self, user: Login) -> bool:
        """Whether a user of a POP server's has an account here that is disabled. Raises StoreUnavailableError.

        Many of these servers let users write their names in any case, and log what was written. The answer is as old
        as that of `is_enabled` may be.
        """
        now = time.monotonic()
        names, seen, looked = self._disabled
        if now - looked >= LOOKED_AGAIN:
            version = self._store.version()  # before it is read, so that it isn't newer
            if version is None or version != seen:
                names = await self._in_thread(lambda: frozenset(str(login).lower() for login in self._store.disabled()))
            self._disabled = names, version, now
        return str(user).lower() in names

    def suspend(self, user: Login) -> None:
        """Disable a login, or, where it is none, those that a user of a POP server's may be, who wrote it in any case.

        Blocks. Raises AccountError, StoreUnavailableError.
        """
        logins = [user]
        if self._store.read_own(user) is None:
            name = str(user).lower()
            logins = [record.login for record in self._store.records() if str(record.login).lower() == name] or logins
        for login in logins:
            set_disabled(self._store, login, is_disabled=True)
            self._enabled.pop(login, None)
        self._disabled = frozenset(), None, -math.inf

    def close(self) -> None:
        """End the threads and let go of the store."""
        self._threads.shutdown(cancel_futures=True)
        self._store.close()

    async def _in_thread(self, question: Callable[[], _T]) -> _T:
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailableError("too many logins wait for their passwords to be checked")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, question)
        finally:
            self._waiting -= 1

    def _check(self, name: str, password: str) -> Login | None:
        version = self._store.version()  # before the record is read, so that it isn't newer
        record = self._record(name)
        if self._store.keeps_clear:
            return clear.compare(record, password)
        try:
            prepared = prepare(password)
        except ValueError:
            record, prepared = None, ""
        if record is None or not record.password or record.is_disabled:
            verify(prepared, "")
            return None
        if not self._successes.has(name, password, record) and not _is_right(record, prepared, password):
            return None
        if needs_update(record.password) or not (record.scram_sha_256 and record.scram_sha_1):
            record = self._renew(record, prepared)
        self._successes.add(name, password, Success(record, version, time.monotonic() + REMEMBERED_FOR))
        return record.login

    def _find_app_password(self, name: str, password: str, address: str) -> tuple[Login, AppPassword] | None:
        record, now = self._record(name, is_whole=True), time.time()
        if record is None or record.is_disabled:
            return None
        found = app_passwords.find(record.app_passwords, password)
        if found is None or not found.is_good(address, now):
            return None
        if now - found.used >= app_passwords.USED_AGAIN:
            with contextlib.suppress(StoreUnavailableError):
                self._store.change(record.login, lambda current: _with_use(current, found, now))
        return record.login, found

    def _renew(self, record: Record, password: str) -> Record:
        """Keep hash and keys of today's costs, unless the record was changed meanwhile; the login is good anyhow."""
        with contextlib.suppress(StoreUnavailableError):
            renewed = renew(record, password)
            self._store.change(record.login, lambda current: _with_own(current, record, renewed))
            return renewed
        return record

    def _fetch(self, name: str) -> tuple[Login, bytes] | None:
        record = self._record(name)
        if self._store.keeps_clear:
            return clear.secret(record)
        if record is None or not record.secret or record.is_disabled:
            self._sealer.open(self._nobodys_secret, _NOBODY, SECRET)
            return None
        return record.login, self._sealer.open(record.secret, record.login, SECRET).encode()

    def _find(self, user: str, name: str) -> Login | None:
        record = self._record(user)
        if record is None or record.is_disabled or str(record.login) not in (user, f"{user}@{self._default_realm}"):
            return None
        claimed = self._record(name) if name else record
        return record.login if claimed is not None and claimed.login == record.login else None

    def _fetch_keys(self, name: str, need: Need) -> tuple[Login | None, ScramKeys]:
        login = self._login(name)
        record = self._read(login) if login else None
        decoy = self._decoys.keys(str(login or name), need)
        if self._store.keeps_clear:
            return clear.keys(record, need, decoy)
        kept = record.value(need) if record else ""
        try:
            keys = ScramKeys.parse(kept or str(decoy))
        except ValueError as error:
            raise StoreUnavailableError(f"what is kept of {login} for {need.name}: {error}") from None
        if record is None or not kept or record.is_disabled:
            # With the salt that it had before it was disabled, so that nobody sees that it was.
            return None, replace(decoy, salt=keys.salt, iterations=keys.iterations)
        return login, keys

    def _record(self, name: str, *, is_whole: bool = False) -> Record | None:
        login = self._login(name)
        return self._read(login, is_whole=is_whole) if login else None

    def _read(self, login: Login, *, is_whole: bool = False) -> Record | None:
        """What the store has of a login; whether that may be used need not be asked again for a second.

        Unless that is to be whole, not its app passwords: the time that each takes would tell who has some.
        """
        version, now = self._store.version(), time.monotonic()  # before the record is read, so that it isn't newer
        record = self._store.read(login) if is_whole else self._store.read_own(login)
        if record is None or record.is_disabled:
            self._enabled.pop(login, None)
            return record
        if len(self._enabled) >= REMEMBERED:
            self._enabled.clear()
        self._enabled[login] = version, now
        return record

    def _login(self, name: str) -> Login | None:
        try:
            return parse_login(name, self._default_realm)
        except AccountError:
            return None


def _with_own(current: Record | None, before: Record, after: Record) -> Record | None:
    """What is kept now, with its own credentials exchanged, if these are still what they were; app passwords stay."""
    if current is None or replace(current, app_passwords=()) != before:
        return current
    return replace(after, app_passwords=current.app_passwords)


def _with_use(record: Record | None, used: AppPassword, now: float) -> Record | None:
    """The record with a note of when an app password was used."""
    if record is None:
        return None
    noted = (replace(each, used=now) if each.label == used.label else each for each in record.app_passwords)
    return replace(record, app_passwords=tuple(noted))


def _is_right(record: Record, prepared: str, password: str) -> bool:
    """Whether it is the record's password; hashes from elsewhere may be of what was typed, prepared by nobody."""
    if verify(prepared, record.password):
        return True
    return prepared != password and is_foreign(record.password) and verify(password, record.password)
