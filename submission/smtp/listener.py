"""Who comes in by a listening socket, and from where: counted in total at accept, by address once that is known.

TLS is never put on at accept, not even for "implicit" listeners: the session does it, so that there is one way into
TLS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from submission import logs
from submission.config.settings import Listen, Settings
from submission.core.proxy_header import IPAddress
from submission.credentials.authenticator import Authenticator
from submission.relay.pool import Pool
from submission.smtp.admission import Admissions
from submission.smtp.command_loop import CommandLoop
from submission.smtp.in_doubt import ROW, Notes
from submission.smtp.judging import Judge
from submission.smtp.quotas import Limiting
from submission.smtp.session import Session
from submission.smtp.sessions import Sessions
from submission.smtp.sockets import BACKLOG
from submission.state.penalties import PenaltyTable

FindTls = Callable[[], ssl.SSLContext]
"""Gives what to shake hands with now."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a process share."""

    settings: Settings
    pool: Pool
    authenticator: Authenticator
    now: Callable[[], datetime]
    """The time in the local zone, for Received."""
    penalties: PenaltyTable | None = None
    """None where failed logins have no consequences beyond their session."""
    admissions: Admissions = field(default_factory=Admissions)
    shows_dialogue: bool = False
    """Whether the log has each line of each session, secrets starred."""
    limiting: Limiting | None = None
    """None where everybody may send without limit."""
    notes: Notes = field(default_factory=lambda: Notes(memoryview(bytearray(ROW))))
    """Where messages are noted whose end the relay has; nobody looks there unless told."""
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        """Read the rules out of the settings once."""
        object.__setattr__(self, "judge", Judge(self.settings))


class Listener:
    """One address that clients connect to."""

    def __init__(
        self, settings: Listen, sock: socket.socket, shared: Shared, sessions: Sessions, find_tls: FindTls | None
    ) -> None:
        """`find_tls` is asked at each handshake; None where there are none."""
        self.settings = settings
        self.shared = shared
        self.find_tls = find_tls
        self.name = str(settings.address)
        self._sock = sock
        self._sessions = sessions
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept clients from now on."""
        loop = asyncio.get_running_loop()
        create: Any = loop.create_server
        options: dict[str, object] = {"sock": self._sock, "backlog": BACKLOG}
        if self._sock.family == socket.AF_UNIX:
            create = loop.create_unix_server
            if sys.version_info >= (3, 13):
                options["cleanup_socket"] = False  # the path is the other workers' too, or systemd's
        self._server = await create(lambda: Session(self), **options)

    @property
    def is_ending(self) -> bool:
        """Whether the service stops, which a session that begins just now hears from nobody."""
        return self._sessions.is_ending

    async def stop(self) -> None:
        """Accept no more; the sessions go on.

        asyncio makes a task of each connection that it accepts, and drops those that begin when the server is closed.
        """
        server, self._server = self._server, None
        if server is None:
            return
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.SelectorEventLoop):
            loop.remove_reader(self._sock)
            await asyncio.sleep(0)
        server.close()

    def admit(self, session: CommandLoop) -> bool:
        """Learn where a session comes from, and whether there is room for it."""
        peer = session.transport.get_extra_info("peername") if session.transport else None
        session.peer.address = _address(peer)
        if not session.peer.address and self._sock.family != socket.AF_UNIX:
            # It was reset before it was accepted, which uvloop doesn't tell; what it sent would be read nonetheless.
            session.abort()
            return False
        session.awaits_header = self._is_balancer(session.peer.address)
        return self._count(session)

    def readmit(self, session: CommandLoop, client: IPAddress | None) -> bool:
        """Learn from a PROXY header whose session it is, and whether there is room for that client."""
        self.dismiss(session)
        session.awaits_header = False
        if client is not None:
            session.peer.address = _normal(client)
        return self._count(session)

    def dismiss(self, session: CommandLoop) -> None:
        """Forget a session that is over."""
        self._sessions.dismiss(session, _counted_as(session))

    def _is_balancer(self, address: str) -> bool:
        """Whether who connects from there has to name its client."""
        networks = self.settings.proxy_protocol
        if not networks or not address:
            return False
        literal = ipaddress.ip_address(address)
        return any(literal in network for network in networks)

    def _count(self, session: CommandLoop) -> bool:
        """Count a session in, or log that there is no room."""
        if self._sessions.admit(session, _counted_as(session)):
            return True
        logs.warning("overload", ip=session.peer.address, listener=self.name)
        return False


def _address(peer: object) -> str:
    """The client's IP address as text, an IPv4 one in its own form even on an IPv6 socket; empty for a Unix socket."""
    if not isinstance(peer, tuple) or not peer:
        return ""
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return ""
    return _normal(address)


def _normal(address: IPAddress) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _counted_as(session: CommandLoop) -> str:
    """The network that a session counts for: none while only its balancer is known, which has many clients."""
    return "" if session.awaits_header else _network(session.peer.address)


def _network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 customer has for himself."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))
