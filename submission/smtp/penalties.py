"""What earlier failures mean for the logins of one session: a wait before anything is tried, or no try at all.

The wait comes before the store is asked, for right and wrong passwords alike, so that a guesser learns nothing faster
and costs nothing: it holds no thread. Only who sends what was right a moment ago, from the same address, doesn't wait:
they know the password already, and somebody who guesses at it must not be able to slow them down.

Where the penalties can't be read or kept, logins go on without them: the log says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from submission import logs
from submission.config.values import Network
from submission.core.transaction import Peer
from submission.credentials.accounts import AccountError, parse_login
from submission.state import StateUnavailableError
from submission.state.penalties import PenaltyTable

Pause = Callable[[float], Awaitable[None]]


class RefusedError(Exception):
    """Too much was tried from there: nothing is, for a while."""


class Penalties:
    """Those that concern one session. Without a table nothing is ever delayed."""

    def __init__(
        self,
        table: PenaltyTable | None,
        peer: Peer,
        realm: str,
        pause: Pause,
        exempt: tuple[Network, ...] = (),
    ) -> None:
        """`pause` lets seconds go by, and raises where the client leaves or the service ends meanwhile."""
        self._table = table
        self._peer = peer
        self._realm = realm
        self._exempt = exempt
        self._pause = pause
        self._is_clean = True

    async def wait(self, name: str) -> None:
        """Wait before a login by this name, as the client gave it, is tried. Raises RefusedError."""
        delay = await self._look(name)
        if delay:
            await self._pause(delay)
            await self._look(name)  # many may have waited at once, and all of them have failed

    async def _look(self, name: str) -> float:
        """Seconds to wait. Raises RefusedError."""
        if self._table is None or self._is_exempt:
            return 0.0
        try:
            standing = await self._table.standing(self._peer.address, self._normal(name))
        except StateUnavailableError as error:
            self._log(error)
            return 0.0
        self._is_clean = standing.is_clean
        if standing.is_refused:
            raise RefusedError
        return standing.delay

    async def fail(self, name: str, password: str) -> None:
        """Count a failed login; the password is empty where the mechanism doesn't show it."""
        if self._table is not None and not self._is_exempt:
            await self._count(self._table.fail(self._peer.address, self._normal(name), password))

    async def succeed(self, name: str) -> None:
        """Take back what a user's own failures cost."""
        if self._table is not None and not self._is_clean:
            await self._count(self._table.succeed(self._peer.address, self._normal(name)))

    @property
    def _is_exempt(self) -> bool:
        if not self._exempt or not self._peer.address:
            return False
        address = ip_address(self._peer.address)
        return any(address.version == network.version and address in network for network in self._exempt)

    def _normal(self, name: str) -> str:
        """One name for all the ways to write it."""
        try:
            return str(parse_login(name, self._realm))
        except AccountError:
            return name

    async def _count(self, counting: Awaitable[None]) -> None:
        try:
            await counting
        except StateUnavailableError as error:
            self._log(error)

    def _log(self, error: StateUnavailableError) -> None:
        logs.failure("state-unavailable", error, session=self._peer.session)
