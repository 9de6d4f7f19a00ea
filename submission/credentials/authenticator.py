"""Who a client is: the session's questions to the store, answered off the event loop.

A question costs one hop to a thread: the record is read there, and the password is hashed and compared. Hashing is what
takes time, so a password that was right a moment ago is remembered, as a keyed digest over the name and the password,
with the hash that it was right for: where the record has another now, it is not. As long as the store says that nothing
changed since, not even the record has to be read, and the answer is there at once. So every change counts at once.

Threads and the queue before them are bounded; whoever finds the queue full is told to come again, and learns nothing.
An unknown user, a disabled one, a name that can't be one and a wrong password all take a hash's time and give None.
Likewise a secret that isn't kept takes the time of opening one.

A right password whose hash was made with other costs than today's is hashed anew, so that a change of these costs
reaches everybody who logs in.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from submission import logs
from submission.core.addresses import Login
from submission.credentials.accounts import SECRET, AccountError, parse_login
from submission.credentials.hashing import hash_password, needs_update, prepare, verify
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, Store, StoreUnavailableError
from submission.credentials.tokens import TokenRefusedError, TokenVerifier

MAX_WAITING = 128
"""Questions under way; at 25 ms of CPU each, that is a few seconds of waiting."""
REMEMBERED = 10_000
REMEMBERED_FOR = 600.0
"""Seconds that a right password is remembered."""

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
        self._nobodys_secret = sealer.seal("nobody's password", _NOBODY, SECRET)
        self._default_realm = default_realm
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="credentials")
        self._tokens = tokens
        self._waiting = 0
        self._successes = _Successes()

    async def check_password(self, name: str, password: str) -> Login | None:
        """The login, if the password is its own. Raises StoreUnavailableError."""
        return self._successes.recall(name, password, self._store.version()) or await self._in_thread(
            lambda: self._check(name, password)
        )

    async def fetch_secret(self, name: str) -> tuple[Login, bytes] | None:
        """Login and password, for a mechanism that computes with it; None where none is kept.

        Raises StoreUnavailableError.
        """
        return await self._in_thread(lambda: self._fetch(name))

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
        try:
            prepared = prepare(password)
        except ValueError:
            record, prepared = None, ""
        if record is None or not record.password or record.is_disabled:
            verify(prepared, "")
            return None
        if not self._successes.has(name, password, record) and not verify(prepared, record.password):
            return None
        if needs_update(record.password):
            record = self._renew(record, prepared)
        self._successes.add(name, password, _Success(record, version, time.monotonic() + REMEMBERED_FOR))
        return record.login

    def _renew(self, record: Record, password: str) -> Record:
        """Keep a hash of today's costs, unless the record was changed meanwhile; the login is good in any case."""
        with contextlib.suppress(StoreUnavailableError):
            renewed = replace(record, password=hash_password(password))
            self._store.change(record.login, lambda current: renewed if current == record else current)
            return renewed
        return record

    def _fetch(self, name: str) -> tuple[Login, bytes] | None:
        record = self._record(name)
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

    def _record(self, name: str) -> Record | None:
        try:
            login = parse_login(name, self._default_realm)
        except AccountError:
            return None
        return self._store.read(login)


@dataclass(frozen=True, slots=True)
class _Success:
    """A password that was right: for this record, which was read in this version of the store."""

    record: Record
    version: object | None
    until: float  # time.monotonic()


class _Successes:
    """Passwords that were right a moment ago; bounded, the oldest forgotten first. Safe for threads."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._kept: OrderedDict[bytes, _Success] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, name: str, password: str, version: object | None) -> Login | None:
        """Whose password it is, if it was right in this very version of the store."""
        success = self._find(name, password)
        if success is None or version is None or success.version != version:
            return None
        return success.record.login

    def has(self, name: str, password: str, record: Record) -> bool:
        """Whether it was right for the hash that is in the record now."""
        success = self._find(name, password)
        return success is not None and (success.record.login, success.record.password) == (
            record.login,
            record.password,
        )

    def add(self, name: str, password: str, success: _Success) -> None:
        """Remember a success."""
        earlier = self._find(name, password)
        if earlier is not None:  # hashing is due again when it was
            success = replace(success, until=earlier.until)
        digest = self._digest(name, password)
        with self._lock:
            self._kept[digest] = success
            self._kept.move_to_end(digest)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)

    def _find(self, name: str, password: str) -> _Success | None:
        digest = self._digest(name, password)
        with self._lock:
            success = self._kept.get(digest)
        return success if success is not None and success.until > time.monotonic() else None

    def _digest(self, name: str, password: str) -> bytes:
        text = f"{len(name)}:{name}{password}"
        return hashlib.blake2b(text.encode(errors="surrogatepass"), key=self._key, digest_size=32).digest()
