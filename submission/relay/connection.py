"""One connection to the relay, from connecting to the EHLO that tells what it offers.

aiosmtplib does what it does well: addresses, TLS, greeting, EHLO. Then a Pipe takes its protocol's place.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from types import MappingProxyType

import aiosmtplib

from submission.config.settings import Relay as RelaySettings
from submission.config.values import TcpAddress
from submission.core.xclient import Client
from submission.relay.pipe import Pipe, RelayError


class RelayUnreachableError(RelayError):
    """No connection can be had now."""


class Connection:
    """What the pool keeps. `extensions` is what EHLO offered, upper case, with what stood behind."""

    def __init__(self, pipe: Pipe, extensions: Mapping[str, str]) -> None:
        self.pipe = pipe
        self.extensions = extensions
        self.uses = 0
        """Transactions so far, the one under way among them."""
        self.is_spent = False
        """Whether this transaction is its last."""
        self.client: Client | None = None
        """Who the relay was told that it deals with, by XCLIENT."""
        self.idle_since = 0.0
        """The event loop's time at which it was last given back."""

    def quit(self) -> None:
        """Part in good manners, without waiting."""
        if not self.pipe.is_idle:
            self.pipe.abort("done")
            return
        farewell = asyncio.get_running_loop().create_future()
        self.pipe.send(b"QUIT\r\n", 5.0, farewell)
        farewell.add_done_callback(lambda _: self.pipe.abort("done"))


async def connect(settings: RelaySettings, hostname: str) -> Connection:
    """Open a connection; `hostname` is what we call ourselves. Raises RelayUnreachableError."""
    try:
        return await _connect(settings, hostname)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise RelayUnreachableError(f"{type(error).__name__}: {error}") from error


async def _connect(settings: RelaySettings, hostname: str) -> Connection:
    address = settings.address
    tcp = address if isinstance(address, TcpAddress) else None
    client = aiosmtplib.SMTP(
        hostname=tcp.host if tcp else None,
        port=tcp.port if tcp else None,
        socket_path=None if isinstance(address, TcpAddress) else str(address.path),
        local_hostname=hostname,
        timeout=settings.connect_timeout,
        use_tls=settings.tls == "implicit",
        start_tls=settings.tls == "starttls",
        validate_certs=tcp is not None and not _is_loopback(tcp.host),
    )
    await client.connect()
    try:
        await client.ehlo()
    except (Exception, asyncio.CancelledError):
        client.close()
        raise
    extensions = MappingProxyType({keyword.upper(): value for keyword, value in client.esmtp_extensions.items()})
    return Connection(_replace_protocol(client, pipelines="PIPELINING" in extensions), extensions)


def _replace_protocol(client: aiosmtplib.SMTP, *, pipelines: bool) -> Pipe:
    """Put a Pipe where aiosmtplib's own protocol was; the library has no other way to choose it."""
    transport = client.transport
    if transport is None:
        raise aiosmtplib.SMTPServerDisconnected("closed after EHLO")
    pipe = Pipe(asyncio.get_running_loop(), pipelines=pipelines)
    pipe.connection_made(transport)
    transport.set_protocol(pipe)
    return pipe


def _is_loopback(host: str) -> bool:
    """Whether the relay is this host, whose certificate nobody signs for its inner address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
