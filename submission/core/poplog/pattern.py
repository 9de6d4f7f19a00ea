"""An admin's own pattern, for servers that no format knows.

It has to match `program: message` whole where the line has a header of syslog's, as `popd: login of (?P<user>.+) from
(?P<ip>[^ ]+)` does, else the whole line. So what stands before the program can't be forged by what comes after, and
process numbers needn't be thought of.

Python's expressions can take for ever on a line that was made for it, for instance with `(a+)+`. The line's length is
bounded (header.MAX_LINE), so an ordinary expression stays quick; that one is ordinary is the admin's to see to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from submission.core.poplog import Protocol
from submission.core.poplog.address import Address, parse_address
from submission.core.poplog.header import Entry, parse_line
from submission.core.poplog.journal import is_from

MAX_REGEX = 2000
"""Characters of an expression."""


class PatternError(ValueError):
    """A pattern can't be used; the text says why and what would be right."""


class Pattern:
    """One of the admin's own. Raises PatternError unless the expression is one, with the groups it needs."""

    def __init__(self, name: str, regex: str) -> None:
        if len(regex) > MAX_REGEX:
            raise PatternError(f"is longer than {MAX_REGEX} characters")
        try:
            self._regex = re.compile(regex.encode(), re.DOTALL)
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(f"is no regular expression of Python's: {error}") from None
        missing = [f"(?P<{group}>…)" for group in ("user", "ip") if group not in self._regex.groupindex]
        if missing:
            raise PatternError(f"must have {' and '.join(missing)}")
        self.name = name

    def match(self, entry: Entry) -> Found | None:
        """What the line says; None where it doesn't match or names no address that can be granted anything."""
        subject = entry.program + b": " + entry.message if entry.program else entry.message
        match = self._regex.fullmatch(subject)
        if match is None or not _is_own(entry):
            return None
        groups = match.groupdict()
        address = parse_address(groups["ip"] or b"")
        if address is None or not groups["user"]:
            return None
        return Found(groups["user"], address, "imap" if (groups.get("proto") or b"").lower() == b"imap" else "pop3")

    def unmatched(self, samples: Iterable[str]) -> list[int]:
        """The numbers, from 0, of those samples that it doesn't get a login from; each is a whole line."""
        entries = (parse_line(sample.encode("utf-8", "replace")) for sample in samples)
        return [number for number, entry in enumerate(entries) if entry is None or self.match(entry) is None]


def _is_own(entry: Entry) -> bool:
    """Whether the journal, if it is from there, says that it came from an executable of the program's name."""
    name = entry.program.decode("utf-8", "replace").rpartition("/")[2]
    return entry.origin is None or is_from(entry.origin, (name,), becomes_user=True)


class Found(NamedTuple):
    """What a pattern finds in a line."""

    user: bytes
    address: Address
    proto: Protocol
