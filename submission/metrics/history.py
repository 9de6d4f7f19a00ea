"""The last day, minute by minute: what was added to some totals in each.

It stands in memory that is made before the fork, so that it outlives the process that keeps it. A minute has a place
of its own, found by its number modulo those of a day; the number stands there too, for what is a day old is nothing
any more. Nothing is kept over a restart of the service, as the counters aren't.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

MINUTES = 24 * 60
_OCTETS = 8


class History:
    """Minutes of so many series. A minute is the time since the epoch divided by 60, whole."""

    def __init__(self, series: int) -> None:
        self._series = series
        self._width = 1 + series
        # Behind the last minute stands what the totals were when they were noted last.
        self._memory = memoryview(mmap.mmap(-1, (MINUTES + 1) * self._width * _OCTETS)).cast("d")

    def note(self, minute: int, totals: Sequence[float]) -> None:
        """Add to a minute what was added to each total since it was noted last; as often as one likes."""
        place, noted = self._place(minute), MINUTES * self._width + 1
        if self._memory[place] != minute:
            self._memory[place] = minute
            for number in range(self._series):
                self._memory[place + 1 + number] = 0.0
        for number, total in enumerate(totals):
            self._memory[place + 1 + number] += total - self._memory[noted + number]
            self._memory[noted + number] = total

    def sums(self, last: int, count: int, step: int = 1) -> list[list[float]]:
        """Of each series `count` sums of `step` minutes each, the oldest first; the last minute of all is `last`."""
        first = last - count * step + 1
        return [
            [
                sum(self._value(first + point * step + minute, number) for minute in range(step))
                for point in range(count)
            ]
            for number in range(self._series)
        ]

    def _value(self, minute: int, number: int) -> float:
        place = self._place(minute)
        return self._memory[place + 1 + number] if self._memory[place] == minute else 0.0

    def _place(self, minute: int) -> int:
        return minute % MINUTES * self._width
