"""Who a client is: the session's questions to the store, answered off the event loop.

A question costs one hop to a thread: the record is read there each time, so every change counts at once, and the
password is hashed and compared there. Hashing is what takes time, so a password that was right a moment ago is
remembered, as a keyed digest over login, password and the hash that it was right for: a changed record never matches.

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
from dataclasses import replace
from typing import TypeVar

from submission.core.addresses import Login
from submission.credentials.accounts import SECRET, AccountError, parse_login
from submission.credentials.hashing import hash_password, needs_update, prepare, verify
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, Store, StoreUnavailableError

MAX_WAITING = 128
"""Questions under way; at 25 ms of CPU each, that is a few seconds of waiting."""
REMEMBERED = 10_000
REMEMBERED_FOR = 600.0
"""Seconds that a right password is remembered."""

_NOBODY = Login("nobody", "nowhere")

_T = TypeVar("_T")


class Authenticator:
    """Answers for one process."""

    def __init__(self, store: Store, sealer: Sealer, default_realm: str, threads: int | None = None) -> None:
        self._store = store
        self._sealer = sealer
        self._nobodys_secret = sealer.seal("nobody's password", _NOBODY, SECRET)
        self._default_realm = default_realm
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="credentials")
        self._waiting = 0
        self._successes = _Successes()

    async def check_password(self, name: str, password: str) -> Login | None:
        """The login, if the password is its own. Raises StoreUnavailableError."""
        return await self._in_thread(lambda: self._check(name, password))

    async def fetch_secret(self, name: str) -> tuple[Login, bytes] | None:
        """Login and password, for a mechanism that computes with it; None where none is kept.

        Raises StoreUnavailableError.
        """
        return await self._in_thread(lambda: self._fetch(name))

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
        record = self._record(name)
        try:
            prepared = prepare(password)
        except ValueError:
            record, prepared = None, ""
        if record is None or not record.password or record.is_disabled:
            verify(prepared, "")
            return None
        if self._successes.has(record, prepared):
            return record.login
        if not verify(prepared, record.password):
            return None
        if needs_update(record.password):
            record = self._renew(record, prepared)
        self._successes.add(record, prepared)
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

    def _record(self, name: str) -> Record | None:
        try:
            login = parse_login(name, self._default_realm)
        except AccountError:
            return None
        return self._store.read(login)


class _Successes:
    """Passwords that were right a moment ago; bounded, the oldest forgotten first. Safe for threads."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, record: Record, password: str) -> bool:
        digest = self._digest(record, password)
        with self._lock:
            return self._until.get(digest, 0.0) > time.monotonic()

    def add(self, record: Record, password: str) -> None:
        digest = self._digest(record, password)
        with self._lock:
            self._until[digest] = time.monotonic() + REMEMBERED_FOR
            self._until.move_to_end(digest)
            if len(self._until) > REMEMBERED:
                self._until.popitem(last=False)

    def _digest(self, record: Record, password: str) -> bytes:
        parts = (record.login.user, record.login.realm, record.password, password)
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=32).digest()
