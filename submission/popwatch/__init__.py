"""Log lines as they are written, each once: from files through every kind of rotation, from a syslog socket of our own.

A source gives batches: lines in their order, and the place behind them. Whoever stores what follows from the lines
stores the place with it, in one step; a restart that passes it in goes on exactly behind. So a line counts once,
whatever process is killed when.

It is meant for a process that has nothing else to do: files are read in it, a megabyte at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines without their ends, from one source."""

    source: str
    lines: Sequence[bytes | Mapping[str, object]]  # entries, where it is the journal
    position: str  # opaque; empty for a source that can't be asked again
    is_live: bool = True  # written just now, so that a line's own stamp is of no interest
    when: float = 0.0  # for lines that aren't live and have no stamp: when the last of them was written at the latest
