"""What may be sent in an hour and in a day, by one user or from one address.

A limit is a window that slides: whatever hour one looks at, no more was sent in it. The time is cut into buckets, 24 in
a window, and what was sent counts until the bucket that it fell into is a whole window ago. So the limit is never
exceeded, who has reached it waits for a twenty-fourth of the window longer at most, and a count takes 25 numbers.

Several processes send for one user, and asking what they share costs as much as a message. So a process takes some of
what may be sent ahead, into a `Stock`, and spends it without asking: twice as much each time that it needs more within
a second, and never more than an eighth of what is left, so that the last of it is taken one by one. What is in a stock
counts as sent, in the bucket that it was taken in; what wasn't spent is handed back. A process that dies takes its
stock with it: then a few less may be sent, never more.

Times are seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

HOUR, DAY = 3600, 86400
BUCKETS = 24
"""In a window."""
SLOT = HOUR // BUCKETS
"""Seconds of the shortest bucket, of which all others are multiples; what a stock holds is of one of them."""
MAX_STOCK = 256
SHARE = 8
"""A stock takes the n-th part of what is left at most."""
EAGER = 1.0
"""Who comes back for more within so many seconds gets twice as much."""


class Thing(enum.StrEnum):  # of which a hash is cheap, while an Enum's is a call
    """What is counted. A value here is a word in a reply."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"
    FIRST_TIME = "first-time recipients"  # those whom the user didn't write to for long
    CONNECTIONS = "connections at once"  # counted by those who have them, not in a window


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many of a thing in a window of so many seconds; `name` is the key of the configuration."""

    name: str
    thing: Thing
    window: int
    most: int


WINDOWS: Mapping[str, tuple[Thing, int]] = {
    "messages_per_hour": (Thing.MESSAGES, HOUR),
    "messages_per_day": (Thing.MESSAGES, DAY),
    "recipients_per_hour": (Thing.RECIPIENTS, HOUR),
    "recipients_per_day": (Thing.RECIPIENTS, DAY),
    "first_time_recipients_per_day": (Thing.FIRST_TIME, DAY),
}
"""The limits that there can be, by name."""


def limits_of(most: Mapping[str, int]) -> tuple[Limit, ...]:
    """Those of the windows that a configuration sets; 0 is none."""
    return tuple(
        Limit(name, thing, window, most[name]) for name, (thing, window) in WINDOWS.items() if most.get(name, 0)
    )


@dataclass(frozen=True, slots=True)
class Reached:
    """Nothing more may be sent, by this limit, until then."""

    limit: Limit
    until: float


@dataclass(slots=True)
class Usage:
    """What somebody sent: by name of a limit, and by bucket, numbered from the epoch on.

    `told` has the limits that were reached, and when that was told to somebody who minds.
    """

    counts: dict[str, dict[int, int]] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)

    def tidy(self, now: float) -> None:
        """Forget what counts no more; after a clock went back, what is to come is now."""
        kept = {}
        for name, (_, window) in WINDOWS.items():
            counts: dict[int, int] = {}
            for bucket, count in self.counts.get(name, {}).items():
                if _end(window, bucket) > now and count > 0:
                    place = min(bucket, _bucket(window, now))
                    counts[place] = counts.get(place, 0) + count
            if counts:
                kept[name] = counts
        self.counts = kept
        self.told = {name: when for name, when in self.told.items() if abs(now - when) < DAY}

    def used(self, limit: Limit, now: float) -> int:
        """How much of a limit is used up."""
        return sum(count for bucket, count in self._of(limit).items() if _end(limit.window, bucket) > now)

    def free_at(self, limit: Limit, now: float) -> float:
        """When one more may be sent if nothing is until then; `now` where it may at once."""
        used = self.used(limit, now)
        free = now
        for bucket, count in sorted(self._of(limit).items()):
            if used < limit.most:
                break
            if _end(limit.window, bucket) > now:
                used -= count
                free = _end(limit.window, bucket)
        return free

    def take(self, thing: Thing, wanted: int, limits: Iterable[Limit], now: float) -> int | Reached:
        """Count up to `wanted` of a thing as sent: how many, one at least, or which limit is in the way."""
        concerned = [limit for limit in limits if limit.thing is thing]
        room = min((limit.most - self.used(limit, now) for limit in concerned), default=wanted * SHARE)
        if room < 1:
            reached = [Reached(limit, self.free_at(limit, now)) for limit in concerned]
            return max(reached, key=lambda each: each.until)
        taken = max(1, min(wanted, room // SHARE))
        self.add(thing, taken, concerned, now)
        return taken

    def add(self, thing: Thing, amount: int, limits: Iterable[Limit], when: float) -> None:
        """Count as sent, or, of a negative amount, as not sent after all."""
        for limit in limits:
            if limit.thing is thing:
                counts = self.counts.setdefault(limit.name, {})
                bucket = _bucket(limit.window, when)
                counts[bucket] = max(counts.get(bucket, 0) + amount, 0)

    def tell(self, limit: Limit, now: float) -> bool:
        """Note that a limit was reached; whether that is news: not before the window is over is it told again."""
        when = self.told.get(limit.name)
        is_news = when is None or abs(now - when) >= limit.window
        if is_news:
            self.told[limit.name] = now
        return is_news

    @property
    def until(self) -> float:
        """When nothing of it counts any more."""
        ends = [_end(WINDOWS[name][1], bucket) for name, counts in self.counts.items() for bucket in counts]
        return max([*ends, *(when + DAY for when in self.told.values())], default=0.0)

    def _of(self, limit: Limit) -> dict[int, int]:
        return self.counts.get(limit.name, {})


class Stock:
    """What one process took ahead, of one user's, and hasn't spent: by slot and thing."""

    def __init__(self) -> None:
        self._left: dict[tuple[int, Thing], int] = {}
        self._asked: dict[Thing, tuple[int, float]] = {}  # how much was asked for last, and when

    def spend(self, thing: Thing, now: float) -> int | None:
        """Take one out, if there is one that counts as sent now: its slot."""
        current = slot(now)
        left = self._left.get((current, thing), 0)
        if not left:
            return None
        self._left[current, thing] = left - 1
        return current

    def put(self, thing: Thing, amount: int, when: int) -> None:
        """Put in what was taken ahead in a slot, or what was to be sent and was not."""
        self._left[when, thing] = self._left.get((when, thing), 0) + amount

    def ask(self, thing: Thing, now: float) -> int:
        """How much to take ahead."""
        before, when = self._asked.get(thing, (0, 0.0))
        wanted = min(before * 2, MAX_STOCK) if before and 0 <= now - when < EAGER else 1
        self._asked[thing] = wanted, now
        return wanted

    def is_idle(self, now: float) -> bool:
        """Whether nobody came for more lately."""
        return all(not 0 <= now - when < EAGER for _, when in self._asked.values())

    def empty(self) -> list[tuple[int, Thing, int]]:
        """Take everything out: slot, thing and amount."""
        left = [(when, thing, amount) for (when, thing), amount in self._left.items() if amount]
        self._left.clear()
        return left


def slot(now: float) -> int:
    """The slot that a time falls into, by its number."""
    return int(now // SLOT)


def _bucket(window: int, when: float) -> int:
    return int(when * BUCKETS // window)


def _end(window: int, bucket: int) -> float:
    """When what is in a bucket counts no more."""
    return (bucket + 1) * (window // BUCKETS) + window
