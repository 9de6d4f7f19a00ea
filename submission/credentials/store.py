"""What is kept of a login, and what a store of logins does. No store is named here; database.py is one.

A record keeps for each mechanism what it needs, and nothing that it doesn't (docs/architecture.md, "What is kept"):
`password` serves PLAIN and LOGIN, the keys serve SCRAM, `secret` the mechanisms that compute with the password itself.
A store that isn't ours may keep passwords in the clear instead: `clear` serves every mechanism, and then nothing else
is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from submission.core.addresses import Login
from submission.core.app_passwords import AppPassword
from submission.core.sasl import Need


class StoreUnavailableError(Exception):
    """The store, or the key to what is sealed in it, can't be used now. The text is for the admin."""


@dataclass(frozen=True, slots=True)
class Record:
    """A login's credentials as they are kept; an empty value is one that isn't there."""

    login: Login
    password: str = field(default="", repr=False)  # an argon2id hash, in its usual notation
    secret: str = field(default="", repr=False)  # the password sealed (sealing.py)
    scram_sha_256: str = field(default="", repr=False)  # keys in Dovecot's notation (core/sasl/scram_keys.py)
    scram_sha_1: str = field(default="", repr=False)
    clear: str = field(default="", repr=False)  # the password itself
    is_disabled: bool = False
    app_passwords: tuple[AppPassword, ...] = ()  # by their labels

    def serves(self, need: Need) -> bool:
        """Whether a mechanism with this need finds what it needs."""
        return need is Need.NOTHING or bool(self.clear or self.value(need))

    def value(self, need: Need) -> str:
        """What is kept for mechanisms with this need."""
        values = {
            Need.PASSWORD: self.password,
            Need.SECRET: self.secret,
            Need.SCRAM_SHA_256: self.scram_sha_256,
            Need.SCRAM_SHA_1: self.scram_sha_1,
        }
        return values.get(need, "")


Change = Callable[[Record | None], Record | None]
"""From what is kept of a login, None for nothing, to what is to be kept."""


class Store(Protocol):
    """A keeper of records. Every method may block, may be called by any thread, and raises StoreUnavailableError."""

    keeps_clear: bool
    """Whether it keeps passwords in the clear, and nothing else: a record's `clear`, not its other values."""

    def read(self, login: Login) -> Record | None:
        """What is kept of a login now: every change that was made, by whatever process, is seen."""

    def read_own(self, login: Login) -> Record | None:
        """Likewise, but for its app passwords, however many of which take no time then."""

    def version(self) -> object | None:
        """Something that is equal only as long as nothing changed at all, None where that can't be told.

        Takes microseconds, so the event loop may ask.
        """

    def change(self, login: Login, change: Change) -> None:
        """Replace a record in one step: nobody else's change comes between what `change` saw and what it gave."""

    def serves_all(self, need: Need) -> bool:
        """Whether every login that is let in finds what a mechanism with this need wants."""

    def disabled(self) -> Collection[Login]:
        """Every login that is kept and refused."""

    def records(self) -> Iterator[Record]:
        """All that is kept, ordered by realm and user."""

    def close(self) -> None:
        """Let go of files and connections."""
