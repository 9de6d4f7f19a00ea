"""Penalties where they are kept: of all workers together, and over a restart.

Users and what was tried are kept as digests under a key of the installation: a name that somebody typed may be a
password, and a password that was wrong here is right somewhere. With the key a name can be recognised that is known
already, which is how an admin sees whose they are.

Each process has a copy in memory, current like that of the grants. A failure is counted at once, in one step of the
state's; the login that it belongs to waits for that, so that the next one knows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from submission.core.penalties import Penalty, Rule, Try, keys
from submission.state import Entry, State, Transaction
from submission.state.copies import Copy

PENALTY = "penalty"
KEY_PURPOSE = "penalties"
"""What the key of the digests is derived for."""
MAX_PENALTIES = 50_000
"""In memory; of more, those that end first are left out."""
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Standing:
    """How a login stands before it is tried."""

    delay: float  # seconds
    is_refused: bool
    is_clean: bool  # nothing is kept of its address and its user


class PenaltyTable:
    """The penalties of one process. Raises StateUnavailableError throughout."""

    def __init__(self, state: State, key: bytes, limit: int = MAX_PENALTIES) -> None:
        self._state = state
        self._key = key
        self._limit = limit
        self._kept: dict[str, Penalty] = {}
        self._copy = Copy(state, PENALTY, self._take_in)

    async def standing(self, address: str, name: str) -> Standing:
        """How somebody from this address stands who says to be `name`; either may be empty."""
        await self._copy.catch_up()
        now = time.time()
        found = [
            (penalty, rule)
            for key, rule in keys(address, self.digest(name))
            if (penalty := self._kept.get(key)) is not None and penalty.until > now
        ]
        return Standing(
            max((penalty.delay(rule, now) for penalty, rule in found), default=0.0),
            any(penalty.is_refused(now) for penalty, _ in found),
            not found,
        )

    async def fail(self, address: str, name: str, password: str = "") -> None:
        """Count a failed login."""
        user = self.digest(name)
        attempt = Try(user, self.digest(f"{name}\0{password}") if password else "")
        await asyncio.to_thread(self._change, keys(address, user), attempt, is_success=False)

    async def succeed(self, address: str, name: str) -> None:
        """Take back what a user's own failures cost, for they have logged in."""
        user = self.digest(name)
        await asyncio.to_thread(self._change, keys(address, user), Try(user), is_success=True)

    def penalties(self) -> dict[str, Penalty]:
        """All that there are now, by key. Blocks."""
        self._copy.read()
        now = time.time()
        with self._copy.lock:
            return {key: penalty for key, penalty in self._kept.items() if penalty.until > now}

    def clear(self, cleared: Iterable[str]) -> None:
        """Forget penalties, by their keys. Blocks."""
        names = list(cleared)

        def change(transaction: Transaction) -> None:
            for key in names:
                transaction.remove(PENALTY, key)

        if names:
            self._state.change(change)

    def digest(self, text: str) -> str:
        """What is kept instead of a name or a try; nothing of nothing."""
        if not text:
            return ""
        octets = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(octets, key=self._key, digest_size=_DIGEST).hexdigest()

    def _take_in(self, entries: list[Entry], is_all: bool) -> None:
        if is_all:
            self._kept = {}
        now = time.time()
        for entry in entries:
            penalty = _decode(entry)
            if penalty is not None and penalty.until > now:
                self._kept[entry.key] = penalty
            else:
                self._kept.pop(entry.key, None)
        if len(self._kept) > self._limit:
            # A tenth more than has to go, so that it isn't each time.
            lasting = sorted(self._kept.items(), key=lambda item: item[1].until)
            self._kept = dict(lasting[-(self._limit * 9 // 10) :])

    def _change(self, counted: list[tuple[str, Rule]], attempt: Try, *, is_success: bool) -> None:
        now = time.time()

        def change(transaction: Transaction) -> None:
            for key, rule in counted:
                entry = transaction.get(PENALTY, key)
                before = (_decode(entry) if entry is not None else None) or Penalty()
                if not is_success:
                    after = before.after_failure(rule, attempt, now)
                elif key.startswith("user "):
                    after = Penalty()
                else:
                    after = before.after_success(attempt.user, now)
                if after.until > now:
                    transaction.put(PENALTY, Entry(key, _encode(after), after.until))
                elif entry is not None:
                    transaction.remove(PENALTY, key)

        self._state.change(change)


def _encode(penalty: Penalty) -> str:
    tries = [[attempt.user, attempt.password] for attempt in penalty.tries]
    return json.dumps([penalty.failures, penalty.last, penalty.refused_until, tries], separators=(",", ":"))


def _decode(entry: Entry) -> Penalty | None:
    """The penalty of an entry; None for one that was removed, or that isn't of our making."""
    try:
        *numbers, tries = json.loads(entry.value)
        failures, last, refused_until = map(float, numbers)
        if not all(map(math.isfinite, (failures, last, refused_until))):
            return None
        return Penalty(
            failures,
            last,
            refused_until,
            tuple(Try(str(user), str(password)) for user, password in tries),
        )
    except (ValueError, TypeError, OverflowError):
        return None
