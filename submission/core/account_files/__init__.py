"""Accounts in other programs' files: text in, accounts and refusals out. One file a format.

What a file holds of an account is a password, a hash, or SCRAM keys; which hashes are known is decided where they are
verified. Nothing is guessed: a line that isn't understood is refused with its place and the reason, never with what it
holds, for that may be a password.

    read(text)  -> Iterator[Account | Refusal]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

MAX_LINE = 4096
"""Characters of a line."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account; of `password`, `hashed` and `scram` one is set."""

    place: str  # such as "line 3"
    name: str  # `user` or `user@realm`
    password: str = field(default="", repr=False)
    hashed: str = field(default="", repr=False)  # in passlib's notation
    scram: str = field(default="", repr=False)  # in Dovecot's notation
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that isn't taken, and why."""

    place: str
    reason: str
    name: str = ""


Found: TypeAlias = Account | Refusal
Reader: TypeAlias = Callable[[str], Iterator[Found]]


def lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line that says something with its place; one that is too long is empty, which no format takes."""
    for number, ended in enumerate(text.split("\n"), 1):
        line = ended.removesuffix("\r")
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"line {number}", line if len(line) <= MAX_LINE else ""
