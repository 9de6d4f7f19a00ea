"""The table of POP before SMTP for sendmail on port 25: answers to what it asks, files for it to read.

Looked at twice a second: what follows from a log is in memory at once, an admin's command within that. The files are
written at most once a second, when something changed or has ended; what has ended leaves them while the state can't be
read, too. When the service stops they are emptied, for nobody would take out of them what ends later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from submission import logs
from submission.core.transaction import Via
from submission.service.maps import Maps
from submission.smtp.admission import Admissions
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable

LOOK = 0.5
"""Seconds between looks at the table."""
WRITE, RETRY = 1.0, 30.0
"""Seconds between writes of the files, whatever changes, and before one that failed is tried again."""


class Publisher:
    """Keeps what sendmail sees current."""

    def __init__(self, maps: Maps, table: GrantTable, admissions: Admissions, may_write: Callable[[], bool]) -> None:
        """`may_write` tells whether the files are ours to write: those of an earlier crew may still do so."""
        self._maps = maps
        self._may_write = may_write
        self._table = table
        self._admissions = admissions
        self._trouble = ""  # why the state can't be read
        self._written = -1  # the table's changes that are in the files
        self._due = 0.0

    def find(self, address: str) -> str | None:
        """The user who may relay from an address, for the socketmap. Raises StateUnavailableError."""
        if self._trouble:
            raise StateUnavailableError(self._trouble)
        identity = self._admissions.recall(address)
        if identity is None or identity.via is Via.RELAY:  # sendmail has relay domains of its own
            return None
        return identity.user or identity.via.value

    def note(self, address: str) -> None:
        """Count what somebody sends by sendmail as a message of ours, if it is by a grant."""
        identity = self._admissions.recall(address)
        if identity is not None:
            self._admissions.note_message(identity)

    async def run(self) -> None:
        """Keep current until cancelled."""
        naming = asyncio.get_running_loop().create_task(self._look_up())
        try:
            while True:
                await self.look()
                logs.flush()
                await asyncio.sleep(LOOK)
        finally:
            naming.cancel()

    async def _look_up(self) -> None:
        """Know the addresses of static hosts; DNS may take its time, and grants don't wait for it."""
        while True:
            await self._admissions.look_up()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """See what has changed, and write it down."""
        try:
            await self._table.catch_up()
        except StateUnavailableError as error:
            if not self._trouble:
                logs.failure("state-unavailable", error)
            self._trouble = str(error) or "unavailable"
        else:
            self._trouble = ""
        now = asyncio.get_running_loop().time()
        is_due = self._table.changes != self._written and now >= self._due
        if is_due and (self._maps.are_wanted or self._written < 0) and self._may_write():
            self._due = now + WRITE
            changes = self._table.changes
            if await asyncio.to_thread(self._write_all):
                self._written = changes
            else:
                self._due = now + RETRY

    async def withdraw(self) -> None:
        """Leave no grant in the files."""
        await self._admissions.settle()
        await asyncio.to_thread(self._maps.write, {})

    async def settle(self) -> None:
        """Wait until what is being written is."""
        await self._admissions.settle()
        await asyncio.to_thread(self._maps.wait)

    def _write_all(self) -> bool:
        users = {}
        for address in {grant.address for grant in self._table.recall_all()}:
            identity = self._admissions.recall(address)
            if identity is not None and identity.via is Via.POP and identity.user:
                users[address] = identity.user
        return self._maps.write(users)
