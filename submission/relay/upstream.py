"""Connections to the relay, and the pool that keeps them open from one transaction to the next.

A new connection costs sendmail a fork, three quarters of what accepting a message costs it, so one that is provably
clean is kept: every command on it was answered, and before the next transaction it gets an RSET whose 250 is seen
before anything else is believed. What sendmail holds against a long connection is avoided: one EHLO each (it slows
down at the third), never NOOP (at the twentieth), and we part before it does, for it goes without a word.

A kept connection may be dead without our knowing. So a transaction that loses it before any reply to MAIL starts
again, once, on a fresh one; the client notices nothing, and the relay has seen nothing that counts. Later than that,
nothing is ever tried twice.

Nothing here is a queue: whoever can't be served now is told so.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

import aiosmtplib

from submission.config.settings import Relay as RelaySettings
from submission.config.values import TcpAddress
from submission.core.replies import Reply
from submission.relay.pipe import Pipe, RelayError, RelayLostError

__all__ = ["Pool", "RelayError", "RelayLostError", "RelayUnreachableError", "Upstream"]

COMMAND_TIMEOUT = 300.0
"""Seconds for a reply to MAIL, RCPT, RSET and DATA, and for room for the next part of a body
(RFC 5321 section 4.5.3.2)."""

MAX_IDLE = 60.0
"""Seconds that a connection is kept unused. Debian's sendmail closes after 300."""
MAX_USES = 500
"""Transactions on one connection, so that a configuration change of the relay's reaches us some day."""
MAX_KEPT = 16
"""Connections kept unused in one process."""
MAX_CONNECTING = 8
"""Connections waiting for a greeting at a time: sendmail's listen queue holds 10."""
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0
"""Seconds after a refused connection in which no other is tried; doubles from the first to the last."""


class RelayUnreachableError(RelayError):
    """No connection can be had now."""


class Upstream:
    """One connection to the relay. `extensions` is what its EHLO offered, upper case, with what stood behind."""

    def __init__(self, pipe: Pipe, extensions: Mapping[str, str], final_timeout: float) -> None:
        self._pipe = pipe
        self._final_timeout = final_timeout
        self.extensions = extensions
        self.uses = 0
        self.idle_since = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and the connection, as far as can be seen, stands."""
        return self._pipe.is_idle

    @property
    def loss(self) -> RelayLostError | None:
        """Why nothing can be sent any more, once that is so."""
        return self._pipe.lost

    async def begin(self, mail: bytes) -> Reply:
        """Send MAIL, behind an RSET where the connection was used before; the reply to MAIL, or RelayLostError."""
        self.uses += 1
        if self.uses == 1:
            return await self.send(mail)
        if "PIPELINING" in self.extensions:
            reset, reply = self.send(b"RSET"), self.send(mail)
        else:
            reset = self.send(b"RSET")
            await reset
            reply = self.send(mail)
        if not (await reset).is_positive:
            self.abort("RSET was refused")
            raise RelayLostError("RSET was refused")  # whatever was said to MAIL
        return await reply

    def send(self, command: bytes) -> asyncio.Future[Reply]:
        """Send a command, without CRLF; several may be under way at a time."""
        return self._pipe.send(command + b"\r\n", COMMAND_TIMEOUT)

    async def write(self, chunk: bytes) -> None:
        """Stream a part of the body, waiting while the relay takes none; RelayLostError."""
        await self._pipe.write_body(chunk, COMMAND_TIMEOUT)

    def finish(self, end: bytes) -> asyncio.Future[Reply]:
        """Send what completes the message. From here on the outcome is the relay's alone to tell."""
        return self._pipe.send(end, self._final_timeout)

    def abort(self, reason: str) -> None:
        """Drop the connection: a message under way is thrown away by the relay."""
        self._pipe.abort(reason)

    def quit(self) -> None:
        """Part in good manners, without waiting."""
        if self.is_idle:
            self._pipe.send(b"QUIT\r\n", 5.0).add_done_callback(lambda _: self._pipe.abort("done"))
        else:
            self._pipe.abort("done")


class Pool:
    """The relay as one process sees it."""

    def __init__(self, settings: RelaySettings, hostname: str) -> None:
        self._settings = settings
        self._hostname = hostname
        self._kept: deque[Upstream] = deque()
        self._connecting = asyncio.Semaphore(MAX_CONNECTING)
        self._pause = 0.0
        self._paused_until = 0.0
        self.extensions: Mapping[str, str] = MappingProxyType({})
        """What the relay offered last; empty until it has been asked."""

    async def begin(self, mail: bytes) -> tuple[Upstream, Reply]:
        """A connection on which MAIL was just answered, and the answer. RelayUnreachableError or RelayLostError."""
        kept = self._take_kept()
        if kept is not None:
            try:
                return kept, await kept.begin(mail)
            except RelayLostError:
                pass  # it had died in its sleep
        upstream = await self.connect()
        try:
            return upstream, await upstream.begin(mail)
        except asyncio.CancelledError:
            upstream.abort("cancelled")
            raise

    def keep(self, upstream: Upstream) -> None:
        """Give a connection back. One that isn't provably clean is dropped."""
        if not upstream.is_idle:
            upstream.abort("not clean")
        elif upstream.uses >= MAX_USES or len(self._kept) >= MAX_KEPT:
            upstream.quit()
        else:
            upstream.idle_since = asyncio.get_running_loop().time()
            self._kept.append(upstream)

    async def connect(self) -> Upstream:
        """Open a connection and learn what the relay offers. RelayUnreachableError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await self._connecting.acquire()
        except TimeoutError:
            raise RelayUnreachableError("too many connections wait for its greeting") from None
        try:
            if loop.time() < self._paused_until:
                raise RelayUnreachableError("not tried, for it was refused a moment ago")
            upstream = await self._connect(loop)
        except (aiosmtplib.SMTPException, OSError) as error:
            if loop.time() >= self._paused_until:  # several that are refused at once count as one
                self._pause = min(max(self._pause * 2, FIRST_PAUSE), LAST_PAUSE)
                self._paused_until = loop.time() + self._pause
            raise RelayUnreachableError(f"{type(error).__name__}: {error}") from error
        finally:
            self._connecting.release()
        self._pause = 0.0
        self.extensions = upstream.extensions
        return upstream

    def sweep(self) -> None:
        """Part with connections that were unused for too long; to be called now and then."""
        oldest = asyncio.get_running_loop().time() - MAX_IDLE
        while self._kept and (self._kept[0].idle_since < oldest or not self._kept[0].is_idle):
            self._kept.popleft().quit()

    def close(self) -> None:
        """Part with every connection that is kept."""
        while self._kept:
            self._kept.pop().quit()

    def _take_kept(self) -> Upstream | None:
        self.sweep()
        while self._kept:
            upstream = self._kept.pop()  # the one used last: the others get the chance to grow old
            if upstream.is_idle:
                return upstream
        return None

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> Upstream:
        address = self._settings.address
        tcp = address if isinstance(address, TcpAddress) else None
        client = aiosmtplib.SMTP(
            hostname=tcp.host if tcp else None,
            port=tcp.port if tcp else None,
            socket_path=None if isinstance(address, TcpAddress) else str(address.path),
            local_hostname=self._hostname,
            timeout=self._settings.connect_timeout,
            use_tls=self._settings.tls == "implicit",
            start_tls=self._settings.tls == "starttls",
            validate_certs=tcp is not None and not _is_loopback(tcp.host),
        )
        await client.connect()
        try:
            await client.ehlo()
        except (Exception, asyncio.CancelledError):
            client.close()
            raise
        return Upstream(
            _replace_protocol(client, loop),
            MappingProxyType({keyword.upper(): value for keyword, value in client.esmtp_extensions.items()}),
            self._settings.final_timeout,
        )


def _replace_protocol(client: aiosmtplib.SMTP, loop: asyncio.AbstractEventLoop) -> Pipe:
    """Put a Pipe where aiosmtplib's own protocol was; the library has no other way to choose it."""
    transport = client.transport
    if transport is None:
        raise aiosmtplib.SMTPServerDisconnected("closed after EHLO")
    pipe = Pipe(loop)
    pipe.connection_made(transport)
    transport.set_protocol(pipe)
    return pipe


def _is_loopback(host: str) -> bool:
    """Whether the relay is this host, whose certificate nobody signs for its inner address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
