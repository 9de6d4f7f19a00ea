"""Accounts from other programs' files, taken into a store: what a file gives (core/account_files) becomes a record.

A password gives all that submission-passwd would keep of it, which takes a tenth of a second of CPU each, so passwords
are hashed in threads. A hash is kept as it is until its user logs in. Each account is one change of its own: an import
that is interrupted has taken the first ones, and may be run again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from submission.core.account_files import Account, Found, Refusal
from submission.core.addresses import Login
from submission.core.sasl.scram_keys import ScramKeys
from submission.credentials.accounts import AccountError, make_record, parse_login, reseal
from submission.credentials.hashing import check_foreign
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, Store

_AHEAD = 4
"""Accounts, for each CPU, that are made while others are kept."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An account that is in the store now, or would be."""

    place: str
    login: Login
    how: str  # what is kept of it, for a person


class Importer:
    """Takes accounts into one store. Raises StoreUnavailableError."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer | None,
        default_realm: str,
        *,
        may_replace: bool,
        keep_secret: bool,
        is_dry: bool,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._default_realm = default_realm
        self._may_replace = may_replace
        self._keep_secret = keep_secret
        self._is_dry = is_dry
        self._seen: set[Login] = set()

    def take(self, found: Iterable[Found]) -> Iterator[Taken | Refusal]:
        """Take what was found, in its order; what became of each."""
        cpus = os.cpu_count() or 1
        with ThreadPoolExecutor(cpus) as threads:
            underway: deque[Future[Callable[[], Taken | Refusal]]] = deque()
            for each in found:
                underway.append(threads.submit(self._prepare, each))
                if len(underway) > cpus * _AHEAD:
                    yield underway.popleft().result()()
            while underway:
                yield underway.popleft().result()()

    def _prepare(self, found: Found) -> Callable[[], Taken | Refusal]:
        """The dear part, for any thread; what it gives keeps the account, in its turn."""
        if isinstance(found, Refusal):
            return lambda: found
        try:
            login = parse_login(found.name, self._default_realm)
            if not self._may_replace and self._store.read(login) is not None:
                return lambda: self._leave(found, login)
            record = self._make(login, found)
        except (AccountError, ValueError) as error:
            reason = str(error)
            return lambda: Refusal(found.place, reason, found.name)
        return lambda: self._keep(found, record)

    def _make(self, login: Login, account: Account) -> Record:
        """The record of an account. Raises AccountError, ValueError."""
        disabled = account.is_disabled
        if self._store.keeps_clear and not (account.password and not disabled):
            raise AccountError("has no password in the clear, which is all that this store keeps, or is disabled")
        if account.password:
            if self._is_dry:
                return Record(login, clear=account.password)
            record = make_record(self._store, self._sealer, login, account.password, keep_secret=self._keep_secret)
            return replace(record, is_disabled=disabled)
        if account.scram:
            ScramKeys.parse(account.scram)
            is_sha1 = account.scram.startswith("{SCRAM-SHA-1}")
            return Record(
                login,
                scram_sha_1=account.scram if is_sha1 else "",
                scram_sha_256="" if is_sha1 else account.scram,
                is_disabled=disabled,
            )
        check_foreign(account.hashed)
        return Record(login, password=account.hashed, is_disabled=disabled)

    def _keep(self, account: Account, record: Record) -> Taken | Refusal:
        login = record.login
        if login in self._seen:
            return self._leave(account, login)
        kept = False

        def change(current: Record | None) -> Record | None:
            nonlocal kept
            kept = current is None or self._may_replace
            return reseal(self._sealer, record) if kept else current

        if self._is_dry:
            kept = True
        else:
            self._store.change(login, change)
        if not kept:
            return self._leave(account, login)
        self._seen.add(login)
        return Taken(account.place, login, _describe(account))

    def _leave(self, account: Account, login: Login) -> Refusal:
        """Leave a login alone that is there already, by this file or from before."""
        if login in self._seen:
            return Refusal(account.place, "is in the file more than once, the first one counts", str(login))
        return Refusal(account.place, "is there already, and was left as it is", str(login))


def _describe(account: Account) -> str:
    if account.password:
        how = "password"
    elif account.scram:
        how = "SCRAM keys, for SCRAM alone"
    else:
        how = "hash, for PLAIN and LOGIN until the next login"
    return f"{how}, disabled" if account.is_disabled else how
