"""Counters of all processes together, without a lock.

Theory. The processes share a piece of memory in which each has a row of its own, as in smtp/places.py: a process writes
to its own row only, and a total is the sum of all rows. Which counters there are is settled before the fork, for the
values of every label are words of the configuration or of ours; so a counter is a cell at a place that is known, and
to add to it costs a tenth of a microsecond. A process that replaces a dead one goes on in its row: counters never fall.
A reload may bring other values: there is room for them in each row, and what was there keeps its place.

A row is written to by one thread of its process, the event loop's. Cells are doubles, which hold whole numbers up to
2^53 exactly, and are read and written in one piece.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MAX_CELLS = 1024
"""Of a row."""
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

    def __init__(self, families: Iterable[Family], rows: int) -> None:
        self.cells: dict[tuple[str, tuple[str, ...]], int] = {}
        """Where in a row a counter is, by the name of its family and the values of its labels."""
        self._families: dict[str, Family] = {}
        self._memory = memoryview(mmap.mmap(-1, rows * MAX_CELLS * _OCTETS)).cast("d")
        self.extend(families)

    @property
    def families(self) -> Sequence[Family]:
        """All that are counted."""
        return tuple(self._families.values())

    def extend(self, families: Iterable[Family]) -> None:
        """Have counters for further values of labels, too; what is counted already stays.

        Processes that are there don't know of them. Where a row is full, the values that are too many aren't counted.
        """
        for family in families:
            known = self._families.get(family.name, replace(family, values=()))
            room = [values for values in family.values if values not in known.values][: MAX_CELLS - len(self.cells)]
            self._families[family.name] = replace(known, values=(*known.values, *room))
            self.cells |= {(family.name, values): len(self.cells) + number for number, values in enumerate(room)}

    def row(self, number: int) -> memoryview[float]:
        """The cells of a process, from 0 on."""
        return self._memory[number * MAX_CELLS : (number + 1) * MAX_CELLS]

    def total(self, name: str, values: tuple[str, ...] = ()) -> float:
        """What all processes have counted together."""
        return sum(self._memory[self.cells[name, values] :: MAX_CELLS])

    def sum(self, name: str, **wanted: str) -> float:
        """What a family has counted under these values of its labels, whatever the others are."""
        family = self._families[name]
        places = {family.labels.index(label): value for label, value in wanted.items()}
        return sum(
            self.total(name, values)
            for values in family.values
            if all(values[place] == value for place, value in places.items())
        )
