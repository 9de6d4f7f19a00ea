"""One SMTP connection as some client has it: bounded in time and size, for the other end may be anything.

smtplib knows neither Unix sockets nor PROXY headers, and has no bound for a reply of many lines.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from ipaddress import IPv6Address, ip_address
from typing import Self

from submission.config.values import Network, TcpAddress, UnixAddress
from submission.core.replies import Reply

PATIENCE = 20.0
"""Seconds for a whole conversation; a failed login may be delayed by 15."""
MAX_REPLY = 32 * 1024
STRANGERS = {4: "192.0.2.1", 6: "2001:db8::1"}
"""For whom a balancer's listener is to take us: addresses of nobody's (RFC 5737, RFC 3849)."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?\r?\n")


class ConversationError(Exception):
    """It can't be had, or went no further. The text says why."""


class HandshakeError(ConversationError):
    """The other end speaks no TLS that we accept, or we none that it does."""


class Conversation:
    """One connection, its greeting read; `with` closes it. Raises ConversationError throughout.

    `client` is the address that the server takes us for, empty on a Unix socket.
    """

    def __init__(
        self,
        address: TcpAddress | UnixAddress,
        *,
        balancers: tuple[Network, ...] = (),
        implicit: ssl.SSLContext | None = None,
        name: str | None = None,
    ) -> None:
        """`balancers` are networks that owe a PROXY header. With `implicit`, TLS comes before everything else.

        `name` is what the server is asked for in the handshake.
        """
        self._end = time.monotonic() + PATIENCE
        self._buffer = b""
        try:
            self._socket = _connect(address)
        except OSError as error:
            raise ConversationError(error.strerror or str(error)) from None
        try:
            self.client = self._introduce(balancers)
            if implicit is not None:
                self.start_tls(implicit, name)
            self.greeting = self.reply()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave without a word."""
        self._socket.close()

    def say(self, command: str) -> Reply:
        """Send a line, and wait for the reply."""
        self._send(command.encode() + b"\r\n")
        return self.reply()

    def hello(self, name: str) -> dict[str, str]:
        """Say EHLO; what is offered, in upper case, with what stands behind."""
        reply = self.say(f"EHLO {name}")
        if not reply.is_positive:
            raise ConversationError(f"EHLO is answered with {reply.text}")
        lines = (line.decode("latin-1").partition(" ") for line in reply.lines[1:])
        return {keyword.upper(): rest for keyword, _, rest in lines}

    def start_tls(self, context: ssl.SSLContext, name: str | None) -> None:
        """Shake hands, once the server waits for it."""
        self._socket.settimeout(self._left())
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=name)
        except ssl.SSLCertVerificationError as error:
            raise HandshakeError(error.verify_message) from None
        except ssl.SSLError as error:
            raise HandshakeError((error.reason or str(error)).replace("_", " ").lower()) from None
        except OSError as error:
            raise HandshakeError(error.strerror or str(error)) from None

    @property
    def certificate(self) -> bytes | None:
        """What the server showed in the handshake, in DER."""
        return self._socket.getpeercert(binary_form=True) if isinstance(self._socket, ssl.SSLSocket) else None

    def reply(self) -> Reply:
        """The next reply."""
        lines, size = [], 0
        while True:
            match = self._line()
            lines.append(match[3] or b"")
            size += len(match[0])
            if size > MAX_REPLY:
                raise ConversationError("a reply without end")
            if match[2] != b"-":
                return Reply(int(match[1]), tuple(lines))

    def _line(self) -> re.Match[bytes]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_REPLY:
                raise ConversationError("a line without end")
            self._buffer += self._receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        match = _LINE.fullmatch(line + b"\n")
        if match is None:
            raise ConversationError(f"no SMTP reply, but {line[:80]!r}")
        return match

    def _receive(self) -> bytes:
        self._socket.settimeout(self._left())
        try:
            octets = self._socket.recv(4096)
        except OSError as error:
            raise ConversationError(error.strerror or str(error)) from None
        if not octets:
            raise ConversationError("it closed the connection")
        return octets

    def _send(self, octets: bytes) -> None:
        self._socket.settimeout(self._left())
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise ConversationError(error.strerror or str(error)) from None

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise ConversationError(f"not done within {PATIENCE:.0f} seconds")
        return left

    def _introduce(self, balancers: tuple[Network, ...]) -> str:
        """Send the header that the server wants from where we are; who we are for it then."""
        if self._socket.family == socket.AF_UNIX:
            return ""
        own = ip_address(self._socket.getsockname()[0])
        own = (own.ipv4_mapped if isinstance(own, IPv6Address) else None) or own
        if not any(own in network for network in balancers):
            return str(own)
        stranger = STRANGERS[own.version]
        self._send(f"PROXY TCP{own.version} {stranger} {own} 49152 587\r\n".encode())
        return stranger


def _connect(address: TcpAddress | UnixAddress) -> socket.socket:
    if isinstance(address, TcpAddress):
        return socket.create_connection((address.host, address.port), PATIENCE)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(PATIENCE)
        sock.connect(str(address.path))
    except OSError:
        sock.close()
        raise
    return sock
