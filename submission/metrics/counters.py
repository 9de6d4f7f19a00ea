"""Counters of all processes together, without a lock.

Theory. The processes share a piece of memory in which each has a row of its own, as in smtp/places.py: a process writes
to its own row only, and a total is the sum of all rows. Which counters there are is settled before the fork, for the
values of every label are words of the configuration or of ours; so a counter is a cell at a place that is known, and
to add to it costs a tenth of a microsecond. A process that replaces a dead one goes on in its row: counters never fall.

A row is written to by one thread of its process, the event loop's. Cells are doubles, which hold whole numbers up to
2^53 exactly, and are read and written in one piece.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

_OCTETS = 8


@dataclass(frozen=True, slots=True)
class Family:
    """Counters of one name, one for each of the combinations of values that its labels can have."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ((),)


class Counters:
    """The memory that the processes share; to be made before they are."""

    def __init__(self, families: Sequence[Family], rows: int) -> None:
        keys = [(family.name, values) for family in families for values in family.values]
        self.families = tuple(families)
        self.cells = {key: number for number, key in enumerate(keys)}
        """Where in a row a counter is, by the name of its family and the values of its labels."""
        self._width = len(keys)
        self._memory = memoryview(mmap.mmap(-1, max(rows * self._width * _OCTETS, 1))).cast("d")

    def row(self, number: int) -> memoryview[float]:
        """The cells of a process, from 0 on."""
        return self._memory[number * self._width : (number + 1) * self._width]

    def total(self, name: str, values: tuple[str, ...] = ()) -> float:
        """What all processes have counted together."""
        return sum(self._memory[self.cells[name, values] :: self._width])

    def sum(self, name: str, **wanted: str) -> float:
        """What a family has counted under these values of its labels, whatever the others are."""
        family = next(family for family in self.families if family.name == name)
        places = {family.labels.index(label): value for label, value in wanted.items()}
        return sum(
            self.total(name, values)
            for values in family.values
            if all(values[place] == value for place, value in places.items())
        )
