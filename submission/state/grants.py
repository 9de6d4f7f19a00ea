"""The POP-before-SMTP table where it is kept: written by whoever reads the logs and by an admin, read by the workers.

A grant is an entry of the kind `grant`, its key `address user`. Whoever asks has a copy in memory, which takes in what
is new before it answers: as long as the state's version is the same, that is a look at two files' times.

Beside it stands, of each user who ever had a grant, how much they rely on it: logins, messages, and whether they have
authenticated since (kind `reliance`). It outlasts the grants, for it is what retires them.

A batch of logins is stored together with the place in the log up to which they were read, so that a login counts
once, whatever process is killed when.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace

from submission import logs
from submission.core.grants import MAX_GRANTS, SKEW, Grant, Grants
from submission.state import Entry, State, StateUnavailableError, Transaction, read_changes
from submission.state.copies import Copy

GRANT, POSITION, RELIANCE = "grant", "position", "reliance"
REMEMBERED = 400 * 86400.0
"""Seconds after a user's last login by POP or IMAP, or message, that their reliance is remembered."""
HOUR = 3600.0
FOREVER = 4e9
"""The end of an entry that has none."""


@dataclass(frozen=True, slots=True)
class Reliance:
    """How much a user relies on POP before SMTP. Times are seconds since the epoch, 0 where there was none."""

    user: str
    first: float
    last: float
    logins: int
    protocol: str  # of the last login, as is `server`
    server: str
    messages: int = 0
    last_message: float = 0.0
    authenticated: float = 0.0  # when AUTH last succeeded

    def after(self, grant: Grant) -> Reliance:
        """As it is after logins, which may be older than those that are known."""
        is_latest = grant.last >= self.last
        return replace(
            self,
            first=min(self.first, grant.first),
            last=max(self.last, grant.last),
            logins=self.logins + grant.logins,
            protocol=grant.protocol if is_latest else self.protocol,
            server=grant.server if is_latest else self.server,
        )


class GrantTable:
    """The table of one process: kept in the state, with a copy in memory. Raises StateUnavailableError throughout."""

    def __init__(self, state: State, limit: int = MAX_GRANTS) -> None:
        self._state = state
        self._limit = limit
        self._grants = Grants(limit)
        self._dropped: list[Grant] = []
        self._copy = Copy(state, GRANT, self._take_in)
        self._reliances: dict[str, Reliance] = {}
        self._reliance_copy = Copy(state, RELIANCE, self._take_reliances_in)
        self.changes = 0
        """How often the table was seen to change; a grant that ended is seen by `catch_up`."""

    async def catch_up(self) -> None:
        """Take in what is new, and let go of what has ended, which needs no state."""
        try:
            await self._copy.catch_up()
        finally:
            with self._copy.lock:
                self._sweep()

    async def find(self, address: str) -> Grant | None:
        """The grant that an address has now."""
        await self._copy.catch_up()
        return self._grants.find(address, time.time())

    def recall(self, address: str) -> Grant | None:
        """The grant that an address had when the table was last asked, if it is still good."""
        return self._grants.find(address, time.time())

    def grants(self) -> list[Grant]:
        """All that are good now. Blocks."""
        self._copy.read()
        return self.recall_all()

    def recall_all(self) -> list[Grant]:
        """All that there were when the table was last asked, if they are still good."""
        now = time.time()
        with self._copy.lock:
            return [grant for grant in self._grants if grant.is_good(now)]

    def record(self, logins: Iterable[Grant], positions: Mapping[str, str] | None = None) -> list[Grant]:
        """Store what logins give, and how far the logs were read, in one step; what the table then has. Blocks.

        What is raised says that nothing was stored, so that whoever tries again counts no login twice.
        """
        earned, now = _merge(logins), time.time()
        if not earned and not positions:
            return []

        def change(transaction: Transaction) -> list[Grant]:
            stored = []
            for key, grant in earned.items():
                entry = transaction.get(GRANT, key)
                earlier = _decode(entry) if entry is not None else None
                if earlier is not None and earlier.last > now + SKEW:  # by a clock that was wrong
                    earlier = None
                # One that has ended tells since when, but is no reason to hand anything on.
                current = earlier.renewed(grant) if earlier is not None else grant
                transaction.put(GRANT, _encode(current))
                stored.append(current)
                _rely(transaction, grant)
            for source, position in (positions or {}).items():
                transaction.put(POSITION, Entry(source, position, FOREVER))
            return stored

        stored = self._state.change(change)
        try:
            self._make_room()
        except StateUnavailableError as error:  # there will be another time; the grants are stored
            logs.failure("state-unavailable", error)
        return stored

    def remove(self, grants: Iterable[Grant]) -> None:
        """Take grants away. Blocks."""
        keys = [_key(grant) for grant in grants]

        def change(transaction: Transaction) -> None:
            for key in keys:
                transaction.remove(GRANT, key)

        if keys:
            self._state.change(change)

    def note_message(self, user: str) -> None:
        """Count a message that was sent by a grant. Blocks."""
        now = time.time()
        self._note(user, lambda known: replace(known, messages=known.messages + 1, last_message=now))

    async def note_authentication(self, user: str) -> None:
        """Know that a user can authenticate, if they are one who had a grant; once an hour is often enough."""
        await self._reliance_copy.catch_up()
        known, now = self._reliances.get(user), time.time()
        if known is not None and (known.authenticated <= known.last_message or now - known.authenticated > HOUR):
            await asyncio.to_thread(self._note, user, lambda each: replace(each, authenticated=now))

    def reliances(self) -> list[Reliance]:
        """All users who had a grant, the last login first. Blocks."""
        self._reliance_copy.read()
        with self._reliance_copy.lock:
            return sorted(self._reliances.values(), key=lambda each: each.last, reverse=True)

    def _note(self, user: str, change: Callable[[Reliance], Reliance]) -> None:
        def note(transaction: Transaction) -> None:
            entry = transaction.get(RELIANCE, user)
            known = _decode_reliance(entry) if entry is not None else None
            if known is not None:
                transaction.put(RELIANCE, _encode_reliance(change(known)))

        self._state.change(note)

    def positions(self) -> dict[str, str]:
        """How far each source was read. Blocks."""
        _, entries = read_changes(self._state, POSITION)
        return {entry.key: entry.value for entry in entries if entry.value}

    def _make_room(self) -> None:
        """Take out of the state what a full table has no room for."""
        self._copy.read()
        with self._copy.lock:
            dropped, self._dropped = self._dropped, []
        self.remove(dropped)

    def _take_in(self, entries: list[Entry], is_all: bool) -> None:
        if is_all:
            self._grants = Grants(self._limit)
        now = time.time()
        for entry in entries:
            grant = _decode(entry)
            if grant is not None and grant.until > now:
                self._dropped += self._grants.put(grant)
            else:
                address, _, user = entry.key.partition(" ")
                self._grants.remove(address, user)
        self.changes += bool(entries)
        self._sweep()

    def _sweep(self) -> None:
        self.changes += len(list(self._grants.sweep(time.time())))

    def _take_reliances_in(self, entries: list[Entry], is_all: bool) -> None:
        if is_all:
            self._reliances.clear()
        for entry in entries:
            reliance = _decode_reliance(entry)
            if reliance is not None:
                self._reliances[entry.key] = reliance
            else:
                self._reliances.pop(entry.key, None)


def _merge(logins: Iterable[Grant]) -> dict[str, Grant]:
    """Several logins of one user from one address as one."""
    merged: dict[str, Grant] = {}
    for login in logins:
        key = _key(login)
        merged[key] = merged[key].renewed(login) if key in merged else login
    return merged


def _key(grant: Grant) -> str:
    return f"{grant.address} {grant.user}"


def _rely(transaction: Transaction, grant: Grant) -> None:
    entry = transaction.get(RELIANCE, grant.user)
    known = _decode_reliance(entry) if entry is not None else None
    reliance = known or Reliance(grant.user, grant.first, grant.last, 0, grant.protocol, grant.server)
    transaction.put(RELIANCE, _encode_reliance(reliance.after(grant)))


def _encode_reliance(reliance: Reliance) -> Entry:
    until = max(reliance.last, reliance.last_message) + REMEMBERED
    return Entry(reliance.user, json.dumps(astuple(reliance)[1:], separators=(",", ":")), until)


def _decode_reliance(entry: Entry) -> Reliance | None:
    try:
        first, last, logins, protocol, server, messages, last_message, authenticated = json.loads(entry.value)
        return Reliance(
            entry.key,
            float(first),
            float(last),
            int(logins),
            str(protocol),
            str(server),
            int(messages),
            float(last_message),
            float(authenticated),
        )
    except (ValueError, TypeError):
        return None


def _encode(grant: Grant) -> Entry:
    value = json.dumps([grant.protocol, grant.server, grant.first, grant.last, grant.logins], separators=(",", ":"))
    return Entry(_key(grant), value, grant.until)


def _decode(entry: Entry) -> Grant | None:
    """The grant of an entry, None for one that was removed, or that isn't of our making."""
    address, _, user = entry.key.partition(" ")
    try:
        protocol, server, first, last, logins = json.loads(entry.value)
        words = sys.intern(str(protocol)), sys.intern(str(server))  # the same in a hundred thousand grants
        return Grant(address, user, *words, float(first), float(last), entry.until, int(logins))
    except (ValueError, TypeError):
        return None
