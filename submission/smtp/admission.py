"""Who may send without AUTH: asked at each MAIL, of the table of POP before SMTP and the admin's lists.

The rules are core/admission.py's. What is done here is to ask the table, to know what the names of static hosts mean,
and to write down what retires all of it one day: who has sent by a grant, and who of them has authenticated since.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from submission import logs
from submission.config.settings import Settings
from submission.core.addresses import Login, Mailbox
from submission.core.admission import Admission, Network
from submission.core.replies import Reply
from submission.core.transaction import Identity, Via
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable

IsShutOut = Callable[[Login], Awaitable[bool]]
"""Whether a user of a mail server's has an account here that is disabled."""

LOOKUP = 300.0
"""Seconds between lookups of static hosts that are given by name."""


class Admissions:
    """Those of one process. Without an admission nobody has one."""

    def __init__(
        self,
        admission: Admission | None = None,
        table: GrantTable | None = None,
        names: Sequence[str] = (),
        is_shut_out: IsShutOut | None = None,
    ) -> None:
        """`names` are hosts whose addresses are static ones; they count once `look_up` has found them.

        A grant is no good for a user whose account is disabled, if that can be asked.
        """
        self._is_shut_out = is_shut_out
        self._given = self._admission = admission
        self._table = table
        self._names = dict.fromkeys(names, frozenset[Network]())
        self._due = 0.0
        self._noting: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()

    async def identify(self, address: str) -> Identity | None:
        """As whom a client may send that didn't authenticate, None where it may not.

        Raises StateUnavailableError and StoreUnavailableError.
        """
        if self._admission is None or self._table is None:
            return None
        identity = self._admission.identify(address, await self._table.find(address))
        if identity is None or identity.login is None or self._is_shut_out is None:
            return identity
        return self._admission.identify(address, None) if await self._is_shut_out(identity.login) else identity

    def recall(self, address: str) -> Identity | None:
        """Likewise, as the table was when it was last asked: for who can't wait. Raises StateUnavailableError."""
        if self._admission is None or self._table is None:
            return None
        return self._admission.identify(address, self._table.recall(address))

    def refuse_recipient(self, identity: Identity, recipient: Mailbox) -> Reply | None:
        """The reply to a recipient whom this identity may not write to, or None."""
        return self._admission.refuse_recipient(identity, recipient) if self._admission is not None else None

    def note_message(self, identity: Identity) -> None:
        """Count a message that was sent, if it was by a grant."""
        if self._table is not None and identity.via is Via.POP and identity.user:
            self._note(asyncio.to_thread(self._table.note_message, identity.user))

    def note_authentication(self, login: Login) -> None:
        """Know of a user who has used grants that they can authenticate."""
        if self._table is not None:
            self._note(self._table.note_authentication(str(login)))

    async def look_up(self) -> None:
        """Learn the addresses of static hosts, when it is time; what is known stays while they can't be found."""
        if self._given is None or not self._names or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOKUP
        for name in self._names:
            try:
                self._names[name] = await asyncio.to_thread(_addresses, name)
            except OSError as error:
                logs.event("static-unknown", host=name, reason=error.strerror or str(error))
        found = tuple(network for networks in self._names.values() for network in networks)
        self._admission = replace(self._given, static=(*self._given.static, *found))

    async def settle(self) -> None:
        """Wait until all that was to be noted is."""
        await asyncio.gather(*self._noting)

    def _note(self, noting: Awaitable[None]) -> None:
        task = asyncio.get_running_loop().create_task(self._write(noting))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write(self, noting: Awaitable[None]) -> None:
        async with self._order:  # where one has to wait, it needs one thread, not all of them
            try:
                await noting
            except StateUnavailableError as error:
                logs.failure("state-unavailable", error)


def open_admissions(settings: Settings, table: GrantTable, is_shut_out: IsShutOut | None = None) -> Admissions:
    """What the configuration says; with `table` where it says anything."""
    pop = settings.pop_before_smtp
    if not pop.enabled:
        return Admissions()
    names = [entry for entry in pop.static if isinstance(entry, str)]
    return Admissions(find_admission(settings), table, names, is_shut_out)


def find_admission(settings: Settings) -> Admission:
    """The rules that need nobody to be asked. Balancers are addresses of many people, whoever logs in through them."""
    pop = settings.pop_before_smtp
    balancers = (network for listen in settings.listen for network in listen.proxy_protocol)
    return Admission(
        settings.auth.realm,
        tuple(entry for entry in pop.static if not isinstance(entry, str)),
        pop.deny,
        (*pop.shared, *balancers),
        frozenset(domain.lower() for domain in pop.relay_domains),
    )


def _addresses(name: str) -> frozenset[Network]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return frozenset(ip_network(ip_address(entry[4][0])) for entry in found)
