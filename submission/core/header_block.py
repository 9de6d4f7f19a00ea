"""The header block of a message, held until it is whole: to be judged, and to be completed as RFC 6409 allows.

The block is the octets up to the first empty line, at most MAX_BLOCK of them. They pass through here as they travel
and are held back until the end is seen, so that a message can be refused, or get a field, before the relay has any of
it. Under DATA every line loses a dot at its front, wherever it arrives (RFC 5321 section 4.5.2), whether the client has
doubled it or not: `.From:` is a From field, and is read as one here.

    fields   every line that begins a field, with the lines that continue it (RFC 5322 section 2.2.3)
    body     begins behind the empty line, or where a line is no field: sendmail ends the header there too

Others don't, and find a field below such a line. So a rule about fields is only kept by a block that `is_clear`.

What is changed is what an admin asked for, and only ever in mail of somebody who may send: Date and Message-ID where
there is none (RFC 6409 section 8), Bcc taken away. Nothing that is there is overwritten.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from submission.core.from_field import parse_from

MAX_BLOCK = 64 * 1024
"""Octets, the empty line included; sendmail itself takes 32 KiB of header unless told otherwise."""
MAX_LINES = 1000
"""Of a block; it is looked at between two packets of other clients."""
MAX_HOPS = 50
"""Received fields of a message that is not in a loop. RFC 5321 section 6.3 asks for 100 at least to be let pass by
relays; a message that is submitted has none."""

_END = b"\r\n\r\n"
_FIELDS = re.compile(rb"[.]?+([!-9;-~]++)[ \t]*+:[^\r\n]*+\r\n(?:[.]?+[ \t][^\r\n]*+\r\n)*|.++", re.DOTALL)
_FIELD = re.compile(rb"[.]?+([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[.]?+[ \t][^\r\n]*)*)\r\n")
"""The first sees every message, so it passes over the block once, in C: what it finds is a field, or all that is left
behind the last one. Both take a dot at the front of a line for one that is lost on the way. A group isn't possessive:
Python 3.11 before 3.11.5, which Debian 12 has, takes what it began."""


class Field(NamedTuple):
    """A field: `name` in lower case, `value` what follows the colon, folds included; `octets` the whole of it."""

    name: bytes
    value: bytes
    octets: bytes


class HeaderBlock:
    """Collects the block. `feed` until `is_whole`; then it can be asked and, with what came behind it, written.

    The answers don't depend on how the message was cut. `is_stuffed` is whether lines lose a dot at their front on
    arrival, as they do under DATA.
    """

    __slots__ = ("_end", "_is_stuffed", "_octets", "_searched", "is_clear", "is_too_large", "is_whole", "names")

    def __init__(self, *, is_stuffed: bool = False) -> None:
        self._is_stuffed = is_stuffed
        self._octets = bytearray(b"\r\n")  # not of the message: an empty line at the very start ends an empty block
        self._searched = 0
        self._end = 0  # of the fields
        self.is_whole = False
        self.is_too_large = False
        """Whether there is no end within MAX_BLOCK, or there are too many lines; then nothing else is known of it."""
        self.is_clear = False
        """Whether nobody can read other fields in it: each of its lines belongs to one."""
        self.names: list[bytes] = []
        """Of its fields, in their order, in lower case."""

    def feed(self, octets: bytes) -> None:
        """Take the next octets of the message."""
        self._octets += octets
        end = self._octets.find(_END, max(self._searched - len(_END) + 1, 0), MAX_BLOCK + 2)
        self._searched = len(self._octets)
        if end >= 0:
            self._close(end + 2)
        elif len(self._octets) > MAX_BLOCK + 2:
            self.is_whole = self.is_too_large = True

    def finish(self) -> None:
        """Learn that the message is over: one without an empty line is header to its end."""
        if not self.is_whole:
            self._close(len(self._octets))

    def _close(self, end: int) -> None:
        self.is_whole = True
        self.is_too_large = self._octets.count(b"\n", 0, end) > MAX_LINES
        if self.is_too_large:
            return
        self._end = end
        block = self._octets[2:end].lower()
        self.names = _FIELDS.findall(block)
        if self.names and not self.names[-1]:  # a line that is no field, and all behind it
            self.names.pop()
            *_, rest = _FIELDS.finditer(block)
            self._end = 2 + rest.start()
        self.is_clear = self._end == end and not self._has_odd_lines

    @property
    def _has_odd_lines(self) -> bool:
        """Whether there is one that sendmail takes for the first of the body: of two hyphens or, if it stays, a dot."""
        dot = b"\r\n.--" if self._is_stuffed else b"\r\n."
        return self._octets.find(b"\r\n--", 0, self._end) >= 0 or self._octets.find(dot, 0, self._end) >= 0

    @property
    def fields(self) -> list[Field]:
        """All of them."""
        found = _FIELD.finditer(self._octets, 2, self._end)
        return [Field(field[1].lower(), field[2].replace(b"\r\n.", b"\r\n"), field[0]) for field in found]

    def encode(self, additions: bytes = b"", without: frozenset[bytes] = frozenset()) -> bytes:
        """All that was fed, as it goes on: fields of ours on top, those named in `without` left out."""
        if without.isdisjoint(self.names):
            return additions + self._octets[2:]
        kept = b"".join(field.octets for field in self.fields if field.name not in without)
        return additions + kept + self._octets[self._end :]


def is_in_loop(block: HeaderBlock) -> bool:
    """Whether a message went through more hosts than any message does (RFC 5321 section 6.3)."""
    return block.names.count(b"received") > MAX_HOPS


def find_from(block: HeaderBlock) -> list[bytes] | None:
    """The addresses of the From field; None where there is none, another one, or any doubt about what it says."""
    values = [field.value for field in block.fields if field.name == b"from"]
    return parse_from(values[0]) if block.is_clear and len(values) == 1 else None
