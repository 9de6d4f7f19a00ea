"""What failed logins cost those who come next: delays that double, then refusal, by address and by user.

A failure counts for three keys: the client's address (of IPv6 the /64, which is one customer's), for IPv6 also the /48
around it, and the user that was guessed at. Each has a count that fades by half every ten minutes, and rules:

    key        failures that are free   delay                refusal
    address    0                        1 s, 2 s … 15 s      from 30 on, for a quarter of an hour
    site /48   10                       likewise             from 150 on, likewise
    user       3                        likewise             never: else anybody could lock out anybody

A program that tries its one wrong password for ever is no guesser: what was among the last tries from an address is not
counted again. And whoever does log in takes back what their own failures cost the address, no more, so that an account
of one's own is no licence to guess at others'.

Nothing here knows names or passwords: users and tries are digests, made elsewhere. Times are seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

HALF_LIFE = 600.0
MAX_DELAY = 15.0
REFUSED_FOR = 900.0
MAX_TRIES = 10
_NOTHING = 0.5
"""A count that is none any more."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`free` failures bring no delay; from `refused_from` on, unless that is 0, nothing is tried any more."""

    free: int
    refused_from: int


ADDRESS, SITE, USER = Rule(0, 30), Rule(10, 150), Rule(3, 0)


@dataclass(frozen=True, slots=True)
class Try:
    """A user and a password, as digests; a mechanism that doesn't show the password has none."""

    user: str
    password: str = ""


@dataclass(frozen=True, slots=True)
class Penalty:
    """What is kept of a key: `failures` as they counted at `last`, and the latest tries, the newest last."""

    failures: float = 0.0
    last: float = 0.0
    refused_until: float = 0.0
    tries: tuple[Try, ...] = ()

    def count(self, now: float) -> float:
        """The failures that count now. A clock that went back makes none older."""
        faded = self.failures * 0.5 ** (max(now - self.last, 0.0) / HALF_LIFE)
        return faded if faded >= _NOTHING else 0.0

    def delay(self, rule: Rule, now: float) -> float:
        """Seconds to wait before a login is tried."""
        steps = math.ceil(self.count(now) - rule.free - _NOTHING)
        return min(MAX_DELAY, 2.0 ** (min(steps, 10) - 1)) if steps > 0 else 0.0

    def is_refused(self, now: float) -> bool:
        """Whether no login is tried at all. A clock that went back refuses nobody for longer."""
        return now < self.refused_until <= now + REFUSED_FOR

    def after_failure(self, rule: Rule, attempt: Try, now: float) -> Penalty:
        """As it is after one more failed login."""
        if attempt.password and attempt in self.tries:
            return self
        failures = self.count(now) + 1
        is_refused = 0 < rule.refused_from <= failures + _NOTHING
        return Penalty(
            failures,
            now,
            now + REFUSED_FOR if is_refused else self.refused_until,
            (*self.tries, attempt)[-MAX_TRIES:],
        )

    def after_success(self, user: str, now: float) -> Penalty:
        """As it is once this user has logged in: without the failures that were theirs."""
        others = tuple(attempt for attempt in self.tries if attempt.user != user)
        left = max(self.count(now) - (len(self.tries) - len(others)), 0.0)
        return replace(self, failures=left, last=now, tries=others)

    @property
    def until(self) -> float:
        """When nothing is left of it."""
        faded = self.last + HALF_LIFE * math.log2(max(self.failures / _NOTHING, 1.0))
        return max(faded, self.refused_until)


def keys(address: str, user: str) -> list[tuple[str, Rule]]:
    """The keys that a login counts for, each with its rule; either of them may be empty."""
    found = []
    if address:
        if ip_address(address).version == 4:
            found.append((f"address {address}", ADDRESS))
        else:
            found.append((f"address {ip_network((address, 64), strict=False)}", ADDRESS))
            found.append((f"site {ip_network((address, 48), strict=False)}", SITE))
    if user:
        found.append((f"user {user}", USER))
    return found


def rule_of(key: str) -> Rule:
    """The rule of a key."""
    return {"address": ADDRESS, "site": SITE}.get(key.partition(" ")[0], USER)
