"""What the limits on users and addresses mean for the transactions of one session.

    MAIL        takes a message, and the first of a user a connection
    RCPT        takes a recipient, who may be one that the user writes to for the first time
    the end     gives back what the relay didn't take; a message of which nobody knows counts as sent

So whatever is under way in any session of any worker has been counted before it began, and no limit is exceeded. A
user's limits are the login's, wherever it comes from; those of an address concern who has no login. Where the state
can't be asked nothing is sent that has a limit: a thief of passwords must not gain by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Protocol

from submission import logs
from submission.config.limits import Limits
from submission.core import replies
from submission.core.addresses import Login, Mailbox
from submission.core.quotas import HOUR, Limit, Reached, Thing
from submission.core.replies import Reply
from submission.core.transaction import Identity, Peer
from submission.smtp.places import Row
from submission.state import StateUnavailableError
from submission.state.quotas import LimitReachedError, QuotaTable, Subject, user_key


class Alarm(Protocol):
    """Whoever minds that a user has reached a limit."""

    def __call__(self, login: Login, limit: str) -> None:
        """Know of it, without blocking."""

    def close(self) -> None:
        """Do what is still to be done. Blocks."""


@dataclass(frozen=True, slots=True)
class Limiting:
    """What the sessions of a process share, where there are limits."""

    settings: Limits
    table: QuotaTable
    places: Row
    """Of the connections that each user has."""
    alarm: Alarm
    """Is told whose limit was reached, and its name, once in its window."""


class Quotas:
    """Those that concern one session. Without `limiting` nothing is ever counted."""

    def __init__(self, limiting: Limiting | None, peer: Peer) -> None:
        self._limiting = limiting
        self._peer = peer
        self._identity: Identity | None = None
        self._subject = Subject("", ())
        self._user = ""  # whose connection this has to be counted as, where there is a limit on these
        self._messages: list[int] = []  # by the slots that they were taken in, as are the recipients
        self._recipients: list[int] = []
        self._connected_as = ""

    async def open(self, identity: Identity) -> Reply | None:
        """The reply that refuses a transaction of this identity; none where it may begin."""
        if self._limiting is None:
            return None
        settings = self._limiting.settings
        if identity is not self._identity:
            self._identity, self._subject = identity, _subject(identity, self._peer.address, settings)
            self._user = self._subject.key if identity.login and settings.user.connections else ""
        try:
            if self._user != self._connected_as:
                await self._connect(self._limiting)
            table, subject = self._limiting.table, self._subject
            if Thing.MESSAGES in subject.things:
                slot = table.spend(subject, Thing.MESSAGES)
                self._messages.append(await table.take(subject, Thing.MESSAGES) if slot is None else slot)
        except LimitReachedError as error:
            return self._refuse(error)
        except StateUnavailableError as error:
            return self._fail(error)
        return None

    async def admit(self, recipient: Mailbox) -> Reply | None:
        """The reply that refuses a recipient; none where it may be named."""
        if self._limiting is None:
            return None
        table, subject = self._limiting.table, self._subject
        try:
            if Thing.FIRST_TIME in subject.things and not table.knows(subject, recipient.text):
                await table.meet(subject, recipient.text)
            if Thing.RECIPIENTS in subject.things:
                slot = table.spend(subject, Thing.RECIPIENTS)
                self._recipients.append(await table.take(subject, Thing.RECIPIENTS) if slot is None else slot)
        except LimitReachedError as error:
            return self._refuse(error)
        except StateUnavailableError as error:
            return self._fail(error)
        return None

    def give_back_recipient(self) -> None:
        """Count one less, for the relay doesn't take it."""
        if self._recipients:
            self._give_back(Thing.RECIPIENTS, self._recipients.pop())

    def keep(self) -> None:
        """Count the message as sent."""
        self._messages.clear()
        self._recipients.clear()

    def close(self) -> None:
        """End the transaction. What wasn't kept was not sent."""
        while self._recipients:
            self.give_back_recipient()
        while self._messages:
            self._give_back(Thing.MESSAGES, self._messages.pop())

    def leave(self) -> None:
        """End the session: the user has one connection less."""
        if self._limiting is not None and self._connected_as:
            self._limiting.places.leave(self._connected_as)
        self._connected_as = ""

    async def _connect(self, limiting: Limiting) -> None:
        """Count the connection as its user's. Raises LimitReachedError."""
        self.leave()
        if self._user and not limiting.places.take(self._user):
            limit = Limit("connections", Thing.CONNECTIONS, HOUR, limiting.settings.user.connections)
            is_news = await limiting.table.reach(self._subject, limit)
            raise LimitReachedError(Reached(limit, 0.0), is_news=is_news)
        self._connected_as = self._user

    def _give_back(self, thing: Thing, slot: int) -> None:
        if self._limiting is not None:
            self._limiting.table.give_back(self._subject, thing, slot)

    def _refuse(self, error: LimitReachedError) -> Reply:
        login = self._identity.login if self._identity else None
        limit, until = error.reached.limit, error.reached.until
        logs.event(
            "limited",
            limit=limit.name,
            user=str(login) if login else None,
            ip=self._peer.address,
            session=self._peer.session,
        )
        if error.is_news and login and self._limiting is not None:
            self._limiting.alarm(login, limit.name)
        if limit.thing is Thing.CONNECTIONS:
            return replies.too_many_connections(limit.most)
        window = "hour" if limit.window == HOUR else "day"
        return replies.limit_reached(f"{limit.most} {limit.thing.value} per {window}", _next_minute(until))

    def _fail(self, error: StateUnavailableError) -> Reply:
        logs.failure("state-unavailable", error, session=self._peer.session)
        return replies.LIMITS_UNAVAILABLE


def _subject(identity: Identity, address: str, settings: Limits) -> Subject:
    """Whose limits hold: the login's, else those of the address, of IPv6 the /64, which is one customer's."""
    if identity.login:
        return Subject(user_key(identity.login), settings.user.windows)
    network = str(ip_network((address, 64), strict=False)) if ":" in address else address
    return Subject(f"address {network or 'local'}", settings.address.windows)


def _next_minute(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
