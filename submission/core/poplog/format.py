"""What a family of servers writes: the programs whose name chooses it, and the messages that are evidence."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from submission.core.poplog import Protocol

IP = rb"(?P<ip>[0-9A-Fa-f.:]{2,45})"
"""An address to be parsed; one in brackets or parentheses brings its own."""
HOST = rb"[0-9A-Za-z._-]{1,255}"
"""The name that DNS gives to an address: the client's owner chose it, within what resolvers let through."""
USER = rb"(?P<user>.+)"
"""Anything, as much as there is: what follows a user's name is found from the right."""


class Event(Enum):
    """What a line says about a session whose address and login stand on different lines."""

    OPEN = auto()
    """Group `ip`: whose it is; perhaps `user`."""
    NAME = auto()
    """Group `user`: the name that will be tried next."""
    LOGIN = auto()
    """The name was proved; group `user` if it is on this line."""
    CLOSE = auto()
    """The session is over, or hopeless."""


class Step(NamedTuple):
    """An event, and the message that tells of it. Group `session` identifies the session; the pid does, without it."""

    event: Event
    pattern: re.Pattern[bytes]


@dataclass(frozen=True)
class Format:
    """What is known of a family of servers. Patterns match a whole message."""

    name: str
    programs: Mapping[bytes, Protocol | None]
    """Name in the header to what it serves; None where the message has to say it, by group `proto`, which goes first.

    The empty name stands for lines of a server's own file, without a header that header.py knows: then `lines` and
    `steps` match the whole line."""
    logins: tuple[re.Pattern[bytes], ...] = ()
    """Messages that are a login by themselves: groups `user` and `ip`, perhaps `proto` and `domain`."""
    lines: tuple[re.Pattern[bytes], ...] = ()
    """Whole lines of the server's own file that are one, from their first octet on: a message alone is none."""
    steps: tuple[Step, ...] = ()
    executables: frozenset[str] = frozenset()
    """Names of the files that these lines come from, as the journal saw it; those of `programs` where empty."""
    becomes_user: bool = False
    """Whether lines may come from a process that has become the user whose mail it serves."""
    caution: str = ""
    """What an admin should know before he lets it count."""

    @functools.cached_property
    def writers(self) -> frozenset[str]:
        """Names of the executables that the lines may come from."""
        names = (program.decode("ascii").rpartition("/")[2] for program in self.programs if program)
        return self.executables or frozenset(names)


def login(*parts: bytes) -> re.Pattern[bytes]:
    """A pattern made of parts, for a message that may hold any octet."""
    return re.compile(b"".join(parts), re.DOTALL)
