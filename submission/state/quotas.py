"""What users and addresses sent, where it is kept: of all workers together, and over a restart.

A `Subject` is whose usage it is: a key, `user alice@example.com` or `address 192.0.2.5`, and the limits that hold for
it. Its usage is one entry of the kind `usage`, and every change of it one transaction, so that workers which take the
last at once don't both get it. What a worker takes ahead (core/quotas.py) is in its stock, in memory. What it doesn't
spend it hands back within seconds, and when it ends.

Whom a user has written to is kept as digests under a key of the installation, one entry each of the kind `recipient`,
for 30 days after the last message. Only so many can be added a day as the limit on them allows, so that bounds them,
too. A recipient counts when it is named, once, whatever becomes of the message: who tries again isn't asked to pay
again, and who tries out addresses isn't let do so for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from submission.core.addresses import Login
from submission.core.quotas import SLOT, Limit, Reached, Stock, Thing, Usage, slot
from submission.state import Entry, State, StateUnavailableError, Transaction, read_changes
from submission.state.batches import Batches

USAGE, RECIPIENT = "usage", "recipient"
KEY_PURPOSE = "quotas"
"""What the key of the digests is derived for."""
REMEMBERED = 30 * 86400.0
"""Seconds that a recipient stays known after the last message."""
REFRESHED = 86400.0
"""Seconds after which a message makes it known for longer."""
MAX_FRESH = 10_000
"""Recipients that a process needn't ask for."""
_DIGEST = 16

Amounts = list[tuple[int, Thing, int]]
"""Of things, by the slot that they were taken in."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who sends, what limits hold for them, and on which things these are."""

    key: str
    limits: tuple[Limit, ...]
    things: frozenset[Thing] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "things", frozenset(limit.thing for limit in self.limits))


def user_key(login: Login) -> str:
    """The key of a user's usage. A login by POP is written as its user typed it, and must not be another each time."""
    return f"user {str(login).lower()}"


class LimitReachedError(Exception):
    """Nothing more may be sent now."""

    def __init__(self, reached: Reached, *, is_news: bool) -> None:
        super().__init__(reached.limit.name)
        self.reached = reached
        self.is_news = is_news
        """Whether nobody was told in this window."""


class QuotaTable:
    """The usages, for one process. Raises StateUnavailableError throughout."""

    def __init__(self, state: State, key: bytes) -> None:
        self._state = state
        self._batches = Batches(state)
        self._key = key
        self._shelves: dict[str, _Shelf] = {}
        self._fresh: OrderedDict[tuple[str, bytes], float] = OrderedDict()

    def spend(self, subject: Subject, thing: Thing) -> int | None:
        """Count one thing as sent, of what was taken ahead: the slot that it counts in, None where nothing is left."""
        shelf = self._shelves.get(subject.key)
        return shelf.stock.spend(thing, time.time()) if shelf is not None else None

    async def take(self, subject: Subject, thing: Thing) -> int:
        """Count one thing as sent; gives the slot that it counts in. Raises LimitReachedError."""
        shelf = self._shelf(subject)
        async with shelf.lock:
            now = time.time()
            current = shelf.stock.spend(thing, now)
            if current is not None:  # somebody took more meanwhile
                return current
            return await self._take_more(subject, shelf.stock, thing, now)

    def give_back(self, subject: Subject, thing: Thing, when: int) -> None:
        """Have a thing not been sent after all that was taken in a slot."""
        self._shelf(subject).stock.put(thing, 1, when)

    def knows(self, subject: Subject, recipient: bytes) -> bool:
        """Whether the subject has written to a recipient just lately, so that it needn't be asked."""
        return self._fresh.get((subject.key, recipient), 0.0) > time.time()

    async def meet(self, subject: Subject, recipient: bytes) -> None:
        """Count a recipient, unless the subject has written to it in the last month. Raises LimitReachedError."""
        await self._meet(subject, self._digest(subject.key, recipient))
        self._fresh[subject.key, recipient] = time.time() + REFRESHED
        if len(self._fresh) > MAX_FRESH:
            self._fresh.popitem(last=False)

    async def reach(self, subject: Subject, limit: Limit) -> bool:
        """Note that a limit was reached which isn't counted here; whether nobody was told in its window."""

        def change(transaction: Transaction) -> bool:
            now = time.time()
            usage = _get(transaction, subject.key, now)
            is_news = usage.tell(limit, now)
            _put(transaction, subject.key, usage)
            return is_news

        return await self._batches.change(change)

    async def release(self) -> None:
        """Hand back what was taken ahead and isn't needed; to be called every second or so."""
        now = time.time()
        idle = [key for key, shelf in self._shelves.items() if shelf.is_idle(now)]
        left = [self._shelves.pop(key).clear() for key in idle]
        if any(amounts for _, amounts in left):
            await asyncio.to_thread(self._hand_back, left)

    def close(self) -> None:
        """Hand back all of it. Blocks."""
        left = [shelf.clear() for shelf in self._shelves.values()]
        if any(amounts for _, amounts in left):
            self._hand_back(left)

    def usages(self) -> dict[str, Usage]:
        """What is kept, by key. Blocks."""
        _, entries = read_changes(self._state, USAGE)
        return {entry.key: _decode(entry) for entry in entries if entry.value}

    def clear(self, keys: Iterable[str]) -> None:
        """Have nothing been sent. Blocks."""
        names = list(keys)

        def change(transaction: Transaction) -> None:
            for key in names:
                transaction.remove(USAGE, key)

        if names:
            self._state.change(change)

    def _shelf(self, subject: Subject) -> _Shelf:
        shelf = self._shelves.get(subject.key)
        if shelf is None:
            shelf = self._shelves[subject.key] = _Shelf(subject)
        return shelf

    async def _take_more(self, subject: Subject, stock: Stock, thing: Thing, now: float) -> int:
        """Fill the stock with a thing, and take one out; its slot."""
        wanted = stock.ask(thing, now)
        others = {}
        if thing is Thing.MESSAGES and Thing.RECIPIENTS in subject.things:
            others[Thing.RECIPIENTS] = stock.ask(Thing.RECIPIENTS, now)  # a message will have one, and it's one step
        left = stock.empty()

        def change(transaction: Transaction) -> tuple[int, dict[Thing, int | Reached]] | LimitReachedError:
            now = time.time()  # here, so that for all workers it is later than the change before
            usage = _get(transaction, subject.key, now)
            _restore(usage, subject, left)
            taken = {thing: usage.take(thing, wanted, subject.limits, now)}
            refusal = _refuse(usage, taken[thing], now)
            if refusal is None:  # else nobody would spend, or hand back, what is taken with it
                taken |= {each: usage.take(each, amount, subject.limits, now) for each, amount in others.items()}
            _put(transaction, subject.key, usage)
            return refusal or (slot(now), taken)

        try:
            result = await self._batches.change(change)
        except StateUnavailableError:  # not where we are cancelled: the change will be made nonetheless
            for when, each, amount in left:
                stock.put(each, amount, when)
            raise
        if isinstance(result, LimitReachedError):
            raise result
        current, taken = result
        for each, got in taken.items():
            if isinstance(got, int):
                stock.put(each, got - (each is thing), current)
        return current

    async def _meet(self, subject: Subject, digest: str) -> None:
        """Count a recipient, unless it is known."""

        def change(transaction: Transaction) -> LimitReachedError | None:
            now = time.time()
            entry = transaction.get(RECIPIENT, digest)
            if entry is None or not now < entry.until <= now + REMEMBERED:
                usage = _get(transaction, subject.key, now)
                refusal = _refuse(usage, usage.take(Thing.FIRST_TIME, 1, subject.limits, now), now)
                _put(transaction, subject.key, usage)
                if refusal is not None:
                    return refusal
            transaction.put(RECIPIENT, Entry(digest, "known", now + REMEMBERED))
            return None

        refusal = await self._batches.change(change)
        if refusal is not None:
            raise refusal

    def _hand_back(self, left: list[tuple[Subject, Amounts]]) -> None:

        def change(transaction: Transaction) -> None:
            now = time.time()
            for subject, amounts in left:
                if amounts:
                    usage = _get(transaction, subject.key, now)
                    _restore(usage, subject, amounts)
                    _put(transaction, subject.key, usage)

        self._state.change(change)

    def _digest(self, key: str, recipient: bytes) -> str:
        octets = b"%b\0%b" % (key.encode(), recipient.lower())
        return hashlib.blake2b(octets, key=self._key, digest_size=_DIGEST).hexdigest()


class _Shelf:
    """A subject's stock, and the lock of who fills it."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.stock = Stock()
        self.lock = asyncio.Lock()

    def clear(self) -> tuple[Subject, Amounts]:
        return self._subject, self.stock.empty()

    def is_idle(self, now: float) -> bool:
        return not self.lock.locked() and self.stock.is_idle(now)


def _refuse(usage: Usage, taken: int | Reached, now: float) -> LimitReachedError | None:
    return LimitReachedError(taken, is_news=usage.tell(taken.limit, now)) if isinstance(taken, Reached) else None


def _restore(usage: Usage, subject: Subject, left: Amounts) -> None:
    for when, thing, amount in left:
        usage.add(thing, -amount, subject.limits, when * SLOT)


def _get(transaction: Transaction, key: str, now: float) -> Usage:
    entry = transaction.get(USAGE, key)
    usage = _decode(entry) if entry is not None else Usage()
    usage.tidy(now)
    return usage


def _put(transaction: Transaction, key: str, usage: Usage) -> None:
    value = json.dumps([usage.counts, usage.told], separators=(",", ":"))
    transaction.put(USAGE, Entry(key, value, usage.until))


def _decode(entry: Entry) -> Usage:
    """The usage of an entry; none of one that was removed, or that isn't of our making."""
    with contextlib.suppress(ValueError, TypeError, AttributeError, OverflowError):
        counts, told = json.loads(entry.value)
        return Usage(
            {
                str(name): {int(bucket): int(count) for bucket, count in buckets.items()}
                for name, buckets in counts.items()
            },
            {str(name): float(when) for name, when in told.items()},
        )
    return Usage()
