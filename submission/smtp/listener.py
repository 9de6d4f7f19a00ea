"""Listening sockets, and who may come in: sessions are counted in total at accept, by address once that is known.

Sockets are bound first, while the process may still be root, and serve later. TLS is never put on at accept, not even
for "implicit" listeners: the session does it, so that there is one way into TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from submission import logs
from submission.config.settings import Listen, Settings
from submission.config.values import TcpAddress, UnixAddress
from submission.core.proxy_header import IPAddress
from submission.credentials.authenticator import Authenticator
from submission.relay.pool import Pool
from submission.smtp.session import Session

BACKLOG = 1024
"""Connections that the kernel holds until we accept them."""
LAST_WORDS = 1.0
"""Seconds that clients have for taking our goodbye when the service ends."""


class BindError(Exception):
    """A listener can't have its address. The text tells the admin which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a process share."""

    settings: Settings
    pool: Pool
    authenticator: Authenticator
    now: Callable[[], datetime]
    """The time in the local zone, for Received."""


class Sessions:
    """The sessions of a process, counted."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.limits
        self._all: set[Session] = set()
        self._by_network: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    def admit(self, session: Session, network: str) -> bool:
        """Count a session in, or say that there is no room."""
        if len(self._all) >= self._limits.connections:
            return False
        if network and self._by_network[network] >= self._limits.connections_per_ip:
            return False
        self._all.add(session)
        self._by_network[network] += 1
        self._empty.clear()
        return True

    def dismiss(self, session: Session, network: str) -> None:
        """Count a session out; one that was never in is none."""
        if session not in self._all:
            return
        self._all.remove(session)
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]
        if not self._all:
            self._empty.set()

    async def drain(self, seconds: float) -> None:
        """Let transactions end, for as long as `seconds`; then end the sessions that are left."""
        for session in tuple(self._all):
            session.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            for session in tuple(self._all):
                session.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._empty.wait()
            for session in tuple(self._all):
                session.abort()


class Listener:
    """One address that clients connect to."""

    def __init__(
        self, settings: Listen, sock: socket.socket, shared: Shared, sessions: Sessions, tls: ssl.SSLContext | None
    ) -> None:
        self.settings = settings
        self.shared = shared
        self.tls = tls
        self.name = str(settings.address)
        self._sock = sock
        self._sessions = sessions
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept clients from now on."""
        loop = asyncio.get_running_loop()
        create: Any = loop.create_unix_server if self._sock.family == socket.AF_UNIX else loop.create_server
        self._server = await create(lambda: Session(self), sock=self._sock, backlog=BACKLOG)

    def stop(self) -> None:
        """Accept no more; the sessions go on."""
        if self._server is not None:
            self._server.close()

    def admit(self, session: Session) -> bool:
        """Learn where a session comes from, and whether there is room for it."""
        peer = session.transport.get_extra_info("peername") if session.transport else None
        session.peer.address = _address(peer)
        if not session.peer.address and self._sock.family != socket.AF_UNIX:
            # It was reset before it was accepted, which uvloop doesn't tell; what it sent would be read nonetheless.
            session.abort()
            return False
        session.awaits_header = self._is_balancer(session.peer.address)
        return self._count(session)

    def readmit(self, session: Session, client: IPAddress | None) -> bool:
        """Learn from a PROXY header whose session it is, and whether there is room for that client."""
        self.dismiss(session)
        session.awaits_header = False
        if client is not None:
            session.peer.address = _normal(client)
        return self._count(session)

    def dismiss(self, session: Session) -> None:
        """Forget a session that is over."""
        self._sessions.dismiss(session, _counted_as(session))

    def _is_balancer(self, address: str) -> bool:
        """Whether who connects from there has to name its client."""
        networks = self.settings.proxy_protocol
        if not networks or not address:
            return False
        literal = ipaddress.ip_address(address)
        return any(literal in network for network in networks)

    def _count(self, session: Session) -> bool:
        """Count a session in, or log that there is no room."""
        if self._sessions.admit(session, _counted_as(session)):
            return True
        logs.event("overload", ip=session.peer.address, listener=self.name)
        return False


def bind(settings: Listen) -> socket.socket:
    """The socket of a listener, bound but not yet listening. Raises BindError."""
    address = settings.address
    try:
        if isinstance(address, TcpAddress):
            return _bind_tcp(address)
        if isinstance(address, UnixAddress):
            return _bind_unix(address.path)
    except OSError as error:
        raise BindError(f"{address}: {_explain(error, address)}") from error
    raise BindError(f"{address}: not available in this version")


def _bind_tcp(address: TcpAddress) -> socket.socket:
    is_ipv6 = ":" in address.host
    sock = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # "0.0.0.0" beside "[::]" is the custom here
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_left_behind(path):
                raise
            path.unlink()
            sock.bind(str(path))
        path.chmod(0o666)  # whoever reaches the folder may connect, as to a port
    except OSError:
        sock.close()
        raise
    return sock


def _is_left_behind(path: Path) -> bool:
    """Whether a path is that of a Unix socket whose server ended without ceremony."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED


def _explain(error: OSError, address: object) -> str:
    text = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE and isinstance(address, TcpAddress) and address.port == 587:
        text += (
            "; if sendmail holds it, delete the DAEMON_OPTIONS line with Port=submission (Debian: Name=MSP-v4) from"
            " sendmail.mc, keep FEATURE(`no_default_msa'), rebuild sendmail.cf and restart sendmail"
        )
    elif error.errno == errno.EACCES and os.geteuid() != 0:
        text += "; ports below 1024 are root's: start as root, which is dropped after binding"
    return text


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


def _counted_as(session: Session) -> str:
    """The network that a session counts for: none while only its balancer is known, which has many clients."""
    return "" if session.awaits_header else _network(session.peer.address)


def _network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 customer has for himself."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))
