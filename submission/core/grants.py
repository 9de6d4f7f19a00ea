"""The POP-before-SMTP table: which addresses may send for a while, because somebody has read mail from there.

A login by POP or IMAP gives its address a grant until `lifetime` seconds later, and each further one renews it; nothing
shortens it. Several users of one address each have their own: the one who logged in last is who mail from there is
from. An address stands for a person only where one person is behind it, so a network with many can be told to grant
nobody (admission.py).

The table is bounded: when it is full, the grant that would have ended first makes room. Expired grants leave in the
order of their ends, a few steps for each that is due; the table is never looked through.

Time is seconds since the epoch, for a grant outlives a restart. A clock that was years ahead until it was set right has
made grants that would end years from now: one whose login is yet to come is not good.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

MAX_GRANTS = 100_000
MAX_USERS = 64
"""Grants of one address; the latest logins stay."""
SKEW = 3600.0
"""Seconds that a grant's login may be ahead of us, as when a clock is set back a little."""
_SLACK = 1000
"""Outdated entries that the order of ends may hold beside as many as there are grants."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user's logins gave one address."""

    address: str  # as in `str(ip_address(...))`, mapped addresses as IPv4
    user: str  # the login, with its realm
    protocol: str  # "pop3", "imap", or "hand" where an admin gave it
    server: str  # the format that the log line was in, such as "dovecot"
    first: float
    last: float
    until: float
    logins: int = 1

    def is_good(self, now: float) -> bool:
        """Whether its address may send."""
        return self.last - SKEW <= now < self.until

    def renewed(self, later: Grant) -> Grant:
        """What it becomes by one more login of the same user from the same address."""
        last = max(self.last, later.last)
        newest = later if later.last >= self.last else self
        return Grant(
            self.address,
            self.user,
            newest.protocol,
            newest.server,
            min(self.first, later.first),
            last,
            max(self.until, later.until),
            self.logins + later.logins,
        )


class Grants:
    """The table in memory, for one thread."""

    def __init__(self, limit: int = MAX_GRANTS) -> None:
        self._limit = limit
        self._of_address: dict[str, tuple[Grant, ...]] = {}  # the latest login last
        self._count = 0
        self._ends: list[tuple[float, str, str]] = []  # a heap; an entry that isn't its grant's `until` is outdated

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Grant]:
        """All grants, expired ones that nobody swept yet included."""
        for grants in self._of_address.values():
            yield from grants

    def find(self, address: str, now: float) -> Grant | None:
        """The grant of the user who logged in last from this address, if any is good now."""
        for grant in reversed(self._of_address.get(address, ())):
            if grant.is_good(now):
                return grant
        return None

    def get(self, address: str, user: str) -> Grant | None:
        """What this very user has from this address, good or not."""
        return next((grant for grant in self._of_address.get(address, ()) if grant.user == user), None)

    def put(self, grant: Grant) -> list[Grant]:
        """Set a user's grant, whatever was there before. What had to make room for it, seldom more than nothing."""
        before = self._of_address.get(grant.address, ())
        grants = sorted((*(each for each in before if each.user != grant.user), grant), key=_last)
        dropped = grants[:-MAX_USERS]
        self._of_address[grant.address] = tuple(grants[-MAX_USERS:])
        self._count += min(len(grants), MAX_USERS) - len(before)
        heapq.heappush(self._ends, (grant.until, grant.address, grant.user))
        if len(self._ends) > 2 * self._count + _SLACK:
            self._ends = [(each.until, each.address, each.user) for each in self]
            heapq.heapify(self._ends)
        while self._count > self._limit:
            dropped += self._drop_first()
        return dropped

    def remove(self, address: str, user: str) -> bool:
        """Take a user's grant away. False where there was none."""
        grants = self._of_address.get(address, ())
        left = tuple(grant for grant in grants if grant.user != user)
        if len(left) == len(grants):
            return False
        self._count -= 1
        if left:
            self._of_address[address] = left
        else:
            del self._of_address[address]
        return True

    def sweep(self, now: float) -> Iterator[Grant]:
        """Drop what has expired, and give it."""
        while self._ends and self._ends[0][0] <= now:
            yield from self._drop_first()

    def _drop_first(self) -> list[Grant]:
        """Take the first entry off the order of ends, with its grant, or with nothing where it is outdated."""
        until, address, user = heapq.heappop(self._ends)
        grant = self.get(address, user)
        if grant is None or grant.until != until:
            return []
        self.remove(address, user)
        return [grant]


def _last(grant: Grant) -> float:
    return grant.last
