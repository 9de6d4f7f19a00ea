"""BDAT's chunks (RFC 3030): how many octets come, and how they become DATA for a relay that knows nothing else.

A chunk is counted, not searched for an end: its octets may hold anything, dots and commands among them, and none of
it is looked at as such. What a message may hold is the same as under DATA (datastream.py checks it), for the relay
passes it on to hosts that only know DATA. There a line that begins with a dot gets a second one
(RFC 5321 section 4.5.2), which `DotStuffer` does over any cutting of the message into pieces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ARGUMENT = re.compile(rb"(?P<size>[0-9]{1,20})(?P<last> +LAST)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chunk:
    """BDAT's argument: the octets that follow the command's CRLF, and whether the message ends with them."""

    size: int
    is_last: bool

    def encode(self) -> bytes:
        """The command, without CRLF."""
        return b"BDAT %d" % self.size + (b" LAST" if self.is_last else b"")


def parse_chunk(argument: bytes) -> Chunk | None:
    """`1000` or `1000 LAST` (RFC 3030 section 2); None for anything else."""
    match = _ARGUMENT.fullmatch(argument.strip(b" "))
    return Chunk(int(match["size"]), match["last"] is not None) if match else None


class DotStuffer:
    """Doubles the dots that begin a line. `feed` every octet of the message, then `finish`."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before = b"\r\n"  # the two octets before the next: the start of a message is the start of a line

    def feed(self, octets: bytes) -> bytes:
        """The next octets, as they go behind DATA."""
        window = self._before + octets
        stuffed = window.replace(b"\r\n.", b"\r\n..")[len(self._before) :]
        self._before = window[-2:]
        return stuffed

    def finish(self) -> bytes:
        """What is missing before the final dot: DATA has no way to say that the last line has no CRLF."""
        return b"" if self._before == b"\r\n" else b"\r\n"
