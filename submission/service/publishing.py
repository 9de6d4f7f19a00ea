"""The table of POP before SMTP for sendmail on port 25: answers to what it asks, files for it to read.

Looked at twice a second: what follows from a log is in memory at once, an admin's command within that. The files are
written at most once a second, when something changed or has ended. When the service stops they are emptied, for
nobody would take out of them what ends later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from submission import logs
from submission.config.settings import Sendmail
from submission.core.transaction import Via
from submission.sendmail.files import MapError, write_access_map, write_text_map
from submission.smtp.admission import Admissions
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable

LOOK = 0.5
"""Seconds between looks at the table."""
WRITE, RETRY = 1.0, 30.0
"""Seconds between writes of the files, whatever changes, and before one that failed is tried again."""


class Publisher:
    """Keeps what sendmail sees current."""

    def __init__(self, settings: Sendmail, table: GrantTable, admissions: Admissions) -> None:
        self._settings = settings
        self._table = table
        self._admissions = admissions
        self._trouble: StateUnavailableError | None = None
        self._written = -1  # the table's changes that are in the files
        self._due = 0.0

    def find(self, address: str) -> str | None:
        """The user who may relay from an address, for the socketmap. Raises StateUnavailableError."""
        if self._trouble is not None:
            raise self._trouble
        identity = self._admissions.recall(address)
        if identity is None or identity.via is Via.RELAY:  # sendmail has relay domains of its own
            return None
        return identity.user or identity.via.value

    async def run(self) -> None:
        """Keep current until cancelled."""
        while True:
            await self.look()
            logs.flush()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """See what has changed, and write it down."""
        await self._admissions.look_up()
        try:
            await self._table.catch_up()
        except StateUnavailableError as error:
            if self._trouble is None:
                logs.failure("state-unavailable", error)
            self._trouble = error
            return
        self._trouble = None
        now = asyncio.get_running_loop().time()
        if self._has_files and self._table.changes != self._written and now >= self._due:
            self._due = now + WRITE
            changes = self._table.changes
            if await asyncio.to_thread(self._write_all):
                self._written = changes
            else:
                self._due = now + RETRY

    async def withdraw(self) -> None:
        """Leave no grant in the files."""
        await asyncio.to_thread(self._write, {})

    @property
    def _has_files(self) -> bool:
        return self._settings.text_map is not None or self._settings.access_map is not None

    def _write_all(self) -> bool:
        users = {}
        for address in {grant.address for grant in self._table.grants()}:
            identity = self._admissions.recall(address)
            if identity is not None and identity.via is Via.POP and identity.user:
                users[address] = identity.user
        return self._write(users)

    def _write(self, users: Mapping[str, str]) -> bool:
        """Write what is wanted of the files; whether all of it could be."""
        try:
            if self._settings.text_map is not None:
                write_text_map(self._settings.text_map, users)
            if self._settings.access_map is not None:
                write_access_map(self._settings.access_map, users)
        except MapError as error:
            logs.event("map-failed", reason=str(error))
            return False
        return True
