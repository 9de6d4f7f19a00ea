"""The header block of a message, held until it is whole: to be judged, and to be completed as RFC 6409 allows.

The block is the octets up to the first empty line, at most MAX_BLOCK of them. They pass through here as they travel
(under DATA with dots doubled, which concerns no field, for none begins with a dot) and are held back until the end is
seen, so that a message can be refused, or get a field, before the relay has any of it.

    fields   every line that begins a field, with the lines that continue it (RFC 5322 section 2.2.3)
    body     begins behind the empty line, or where a line is no field: sendmail ends the header there too

What is changed is what an admin asked for, and only ever in mail of somebody who may send: Date and Message-ID where
there is none (RFC 6409 section 8), Bcc taken away. Nothing that is there is overwritten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BLOCK = 128 * 1024
"""Octets; sendmail itself takes 32 KiB of header unless told otherwise."""
MAX_HOPS = 50
"""Received fields of a message that is not in a loop. RFC 5321 section 6.3 asks for 100 at least to be let pass by
relays; a message that is submitted has none."""

_END = b"\r\n\r\n"
_FIELD = re.compile(rb"(?P<name>[!-9;-~]+)[ \t]*:(?P<value>[^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")


@dataclass(frozen=True, slots=True)
class Field:
    """A field: `name` in lower case, `value` what follows the colon, folds included; `octets` the whole of it."""

    name: bytes
    value: bytes
    octets: bytes


class HeaderBlock:
    """Collects the block. `feed` until `is_whole`; what came behind it is in `rest`."""

    __slots__ = ("_octets", "_searched", "_start", "fields", "is_whole", "rest")

    def __init__(self) -> None:
        self._octets = b""
        self._start = b"\r\n"  # an empty line at the very start ends an empty block
        self._searched = 0
        self.fields: tuple[Field, ...] = ()
        self.is_whole = False
        self.rest = b""

    @property
    def size(self) -> int:
        """Octets that are held."""
        return len(self._octets)

    @property
    def is_too_large(self) -> bool:
        """Whether the block has no end where it should have one."""
        return not self.is_whole and len(self._octets) > MAX_BLOCK

    def feed(self, octets: bytes) -> None:
        """Take the next octets of the message."""
        self._octets += octets
        window = self._start + self._octets
        end = window.find(_END, max(self._searched - len(_END), 0))
        self._searched = len(window)
        if end >= 0:
            self._close(end)

    def finish(self) -> None:
        """Learn that the message is over: one without an empty line is header to its end."""
        if not self.is_whole:
            self._close(len(self._octets))

    def _close(self, end: int) -> None:
        """Take apart the octets up to `end`, in the count of the message's own octets."""
        self.is_whole = True
        block = self._octets[:end]
        fields = []
        place = 0
        while match := _FIELD.match(block, place):
            fields.append(Field(match["name"].lower(), match["value"], match[0]))
            place = match.end()
        self.fields = tuple(fields)
        self.rest = self._octets[place:]
        self._octets = b""

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields of a name, which is in lower case."""
        return [field.value for field in self.fields if field.name == name]

    def has(self, *names: bytes) -> bool:
        """Whether there is a field of one of these names."""
        return any(field.name in names for field in self.fields)

    def encode(self, additions: bytes = b"", without: frozenset[bytes] = frozenset()) -> bytes:
        """The block as it goes on, `rest` behind it: fields of ours on top, those named in `without` left out."""
        kept = b"".join(field.octets for field in self.fields if field.name not in without)
        return additions + kept + self.rest


def is_in_loop(block: HeaderBlock) -> bool:
    """Whether a message went through more hosts than any message does (RFC 5321 section 6.3)."""
    return len(block.values(b"received")) > MAX_HOPS
