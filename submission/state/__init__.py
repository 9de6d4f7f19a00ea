"""What all processes of an installation share, and a restart keeps: entries that are gone when their time is over.

The POP-before-SMTP table is kept so, and the place that a log was read to; what users sent and how often somebody
guessed wrong can be. An entry has a kind, a key, a value (text, JSON mostly) and an end. A `State` does three things
with them, each of which another kind of database could do as well:

    state.change(change)          change(transaction) gets, puts and removes entries, all in one step or none of it
    state.changes(kind, since, take)    what is new since a revision, for whoever keeps a copy in memory
    state.version()               equal as long as nothing changed; costs microseconds, so an event loop may ask

Times are seconds since the epoch. Every method but `version` may block; any thread may call it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

NOTICED = 86400.0
"""Seconds after it was removed that an entry is still there, for readers to see that it was."""


class StateUnavailableError(Exception):
    """The state can't be read or written now. The text is for the admin."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as a reader of changes sees it; one that was removed has an end in the past and no value."""

    key: str
    value: str
    until: float


Take: TypeAlias = Callable[[list[Entry], bool], None]
"""Takes entries in, some at a time, once at least; True says that all will come, and what was taken before is void."""


class Revision(NamedTuple):
    """How far a reader has come, in which making of the state."""

    making: str
    number: int


class Transaction(Protocol):
    """Entries while they are changed: nobody else's change comes between."""

    def get(self, kind: str, key: str) -> Entry | None:
        """The entry, expired or not, None where there is none."""

    def put(self, kind: str, entry: Entry) -> None:
        """Set an entry, whatever was there before."""

    def remove(self, kind: str, key: str) -> None:
        """Have no such entry any more."""


class State(Protocol):
    """A keeper of entries. Its methods raise StateUnavailableError."""

    def change(self, change: Callable[[Transaction], T]) -> T:
        """Change entries in one step, or in none where `change` raises; gives what it gives."""

    def changes(self, kind: str, since: Revision | None, take: Take) -> Revision:
        """Give the entries that are new since a revision, and tell that of now.

        Where that revision is none, or of another making, they are all entries that there are.
        """

    def sweep(self, now: float) -> None:
        """Drop what has ended, and what was removed more than NOTICED ago: who reads more seldom has to begin anew."""

    def version(self) -> object | None:
        """Something that is equal only as long as nothing changed at all, None where that can't be told."""

    def close(self) -> None:
        """Let go of files and connections."""


def read_changes(state: State, kind: str, since: Revision | None = None) -> tuple[Revision, list[Entry]]:
    """The revision of now, and all that `changes` gives, where that isn't much."""
    found: list[Entry] = []
    revision = state.changes(kind, since, lambda entries, _: found.extend(entries))
    return revision, found
