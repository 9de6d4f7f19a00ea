"""Sessions whose address stands on one line and whose login on another, joined by the process that wrote both.

A process number is used again, lines get lost when logs are rotated, and a granted address can't be taken back. So
what is in doubt is dropped: a session that is opened twice for different addresses, one that two users log in to, one
older than a login takes. A login without the line before it is nobody's.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from submission.core.poplog.address import Address
from submission.core.poplog.format import Event

MAX_SESSIONS = 10000
"""At the same time; more make the oldest be forgotten."""
LIFETIME = 120.0
"""Seconds from a session's first line to its login."""

Key: TypeAlias = tuple[str, bytes, bytes]
"""Format, host, and what identifies the session there."""


class Report(NamedTuple):
    """What one line says about a session."""

    event: Event
    address: Address | None
    user: bytes | None
    time: datetime.datetime | None
    """By the log's own clock."""


@dataclass
class _Session:
    address: Address | None
    """None where the session is in doubt."""
    user: bytes | None
    is_proved: bool
    began: float
    time: datetime.datetime | None

    def is_over(self, now: float, time: datetime.datetime | None) -> bool:
        """Whether this time, by our clock or the log's, is too far from the session's first line."""
        if not 0 <= now - self.began <= LIFETIME:
            return True
        if time is None or self.time is None or (time.tzinfo is None) != (self.time.tzinfo is None):
            return False
        # An hour in which clocks are set back is a reason to drop a login, not to believe an old address.
        return not -1 <= (time - self.time).total_seconds() <= LIFETIME


class Sessions:
    """The sessions that are open, bounded in number and time."""

    def __init__(self) -> None:
        self._open: dict[Key, _Session] = {}  # in the order in which they were opened

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, key: Key) -> bool:
        return key in self._open

    def take(self, key: Key, report: Report, now: float) -> tuple[bytes, Address] | None:
        """Note what a line says; user and address if that completes a login."""
        session = self._open.get(key)
        if session is not None and session.is_over(now, report.time):
            del self._open[key]
            session = None
        if report.event is Event.OPEN:
            self._begin(key, session, report, now)
            return None
        if session is None:
            return None
        if report.event is Event.CLOSE:
            del self._open[key]
            return None
        if report.event is Event.NAME:
            session.user = report.user
            return None
        return self._login(session, report)

    def _begin(self, key: Key, session: _Session | None, report: Report, now: float) -> None:
        address = report.address
        if session is not None and session.address != address:
            address = None
        self._open.pop(key, None)
        self._open[key] = _Session(address, report.user, False, now, report.time)
        while self._open:
            oldest = next(iter(self._open))
            if len(self._open) <= MAX_SESSIONS and 0 <= now - self._open[oldest].began <= LIFETIME:
                break
            del self._open[oldest]

    def _login(self, session: _Session, report: Report) -> tuple[bytes, Address] | None:
        user = report.user if report.user is not None else session.user
        is_another = session.is_proved and user != session.user
        if is_another or (report.address is not None and report.address != session.address):
            session.address = None
        session.user, session.is_proved = user, True
        return (user, session.address) if user and session.address else None
