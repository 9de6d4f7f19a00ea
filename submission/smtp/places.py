"""How many clients there are, in all workers together, without a lock.

Theory. The workers share a piece of memory in which each has a row of counters of its own. A worker writes to its own
row only, and adds up all rows to know how many there are, so no two ever write to the same place. A client is counted
first and looked for room after: two workers that take the last place at once may both refuse it, and never both give
it. When a worker dies, its clients are gone with it, and the supervisor clears its row.

Addresses are counted by hash, so that the memory has a fixed size whoever comes. Two addresses that fall together
would be counted together, so there are two hashes, and the smaller count is believed (a count-min sketch): it may be
too high, if strangers meet in both, and is never too low. At the default limit of 50 it takes two busy strangers in
just these two cells of 65,536 each. The hash has a random key, made before the fork: nobody can choose addresses that
shut somebody else out.

The connections of each user are counted the same way, the user in place of the network.
"""

from __future__ import annotations

import copy
import hashlib
import mmap
import secrets

TABLES = 2
CELLS = 1 << 16
"""Counters in a table; two octets of a hash choose one."""
ROW = 1 + TABLES * CELLS
"""Counters of a worker: all of its clients, then those of each table."""


class Row:
    """The counters of one worker, and its view of all others'."""

    def __init__(self, all_rows: memoryview, worker: int, key: bytes, most: int, most_each: int) -> None:
        self._all = all_rows
        self._own = all_rows[worker * ROW : (worker + 1) * ROW]
        self._key = key
        self._most = most
        self._most_each = most_each

    def take(self, network: str) -> bool:
        """Count a client in, or say that there is no room. A client of no network counts in the total only."""
        cells = self._cells(network)
        self._add(cells, 1)
        if self._sum(0) <= self._most and (not network or min(map(self._sum, cells[1:])) <= self._most_each):
            return True
        self._add(cells, -1)
        return False

    def leave(self, network: str) -> None:
        """Count a client out that was counted in."""
        self._add(self._cells(network), -1)

    def _cells(self, network: str) -> list[int]:
        if not network:
            return [0]
        digest = hashlib.blake2b(network.encode(), key=self._key, digest_size=2 * TABLES).digest()
        chosen = (int.from_bytes(digest[2 * table : 2 * table + 2], "big") for table in range(TABLES))
        return [0, *(1 + table * CELLS + cell for table, cell in enumerate(chosen))]

    def _add(self, cells: list[int], number: int) -> None:
        for cell in cells:
            self._own[cell] += number

    def _sum(self, cell: int) -> int:
        return sum(self._all[cell::ROW])


class Places:
    """The memory that the workers share; to be made before they are."""

    def __init__(self, workers: int, most: int, most_each: int) -> None:
        """How many clients there may be in all, and of each network."""
        self._memory = memoryview(mmap.mmap(-1, workers * ROW * 4)).cast("I")
        self._key = secrets.token_bytes(32)
        self._most = most
        self._most_each = most_each

    def limited(self, most: int, most_each: int) -> Places:
        """The same places with other limits, for workers who serve beside those who have the former ones."""
        places = copy.copy(self)
        places._most, places._most_each = most, most_each
        return places

    def row(self, worker: int) -> Row:
        """The row of a worker, from 0 on."""
        return Row(self._memory, worker, self._key, self._most, self._most_each)

    def count(self) -> int:
        """How many clients there are now."""
        return sum(self._memory[::ROW])

    def clear(self, worker: int) -> None:
        """Forget the clients of a worker that is dead."""
        self._memory[worker * ROW : (worker + 1) * ROW] = memoryview(bytes(ROW * 4)).cast("I")
