"""Whether the service can do its work: the relay answers, the accounts can be read, clients will take our certificates.

It is found out when somebody asks, and good for a few seconds, so that who asks often costs the relay little.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime

from submission.config.settings import Settings
from submission.core.addresses import Login
from submission.credentials import derive_key, open_store
from submission.credentials.store import StoreUnavailableError
from submission.relay.connection import RelayUnreachableError, connect
from submission.smtp.tls import ServerTls

GOOD_FOR = 10.0
"""Seconds that an answer is given again."""
PATIENCE = 5.0
"""Seconds for each of the questions."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How one of them is; `fault` says what is wrong, and is empty where nothing is."""

    name: str
    fault: str
    seconds: float
    """How long it took to find out: of the relay, to connect and to say hello."""


class Health:
    """Asks the questions, for one event loop."""

    def __init__(self, settings: Settings, tls: ServerTls) -> None:
        self._settings = settings
        self._tls = tls
        self._lock = asyncio.Lock()
        self._known: tuple[Condition, ...] = ()
        self._until = 0.0

    async def look(self) -> tuple[Condition, ...]:
        """How all of them are, as of a few seconds ago at most."""
        async with self._lock:  # many who ask at once ask once
            if time.monotonic() >= self._until:
                questions = {
                    "relay": self._ask_relay(),
                    "store": self._read_store(),
                    "certificates": self._read_dates(),
                }
                self._known = tuple(await asyncio.gather(*map(_answered, questions, questions.values())))
                self._until = time.monotonic() + GOOD_FOR
            return self._known

    async def _ask_relay(self) -> str:
        try:
            connection = await connect(self._settings.relay, self._settings.hostname)
        except RelayUnreachableError as error:
            return str(error)
        connection.quit()
        return ""

    async def _read_store(self) -> str:
        return await asyncio.to_thread(_read_store, self._settings)

    async def _read_dates(self) -> str:
        now = datetime.now(UTC)
        objections = ((certificate.file, certificate.objection(now)) for certificate in self._tls.certificates)
        return "; ".join(f'"{file}" {objection}' for file, objection in objections if objection)


async def _answered(name: str, question: Awaitable[str]) -> Condition:
    """The answer to a question, or that it took too long."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            fault = await question
    except TimeoutError:
        fault = f"no answer within {PATIENCE:.0f} seconds"
    return Condition(name, fault, time.monotonic() - started)


def _read_store(settings: Settings) -> str:
    """Read what a login reads: the key, and whether a user is there."""
    try:
        derive_key(settings, "health")
        with contextlib.closing(open_store(settings.store.url)) as store:
            store.read(Login("nobody", "nowhere"))
    except StoreUnavailableError as error:
        return str(error)
    return ""
