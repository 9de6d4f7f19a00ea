"""The ways to a listener from this machine: by loopback and, where it listens there, by the machine's own address."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from submission.cli.doctor.conversation import Conversation, ConversationError
from submission.cli.doctor.verdict import Place
from submission.config.settings import Listen
from submission.config.values import SystemdAddress, TcpAddress, UnixAddress

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
_ELSEWHERE = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}  # noqa: S104
_FAMILY = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}  # noqa: S104


@dataclass(frozen=True, slots=True)
class Door:
    """One listener, at one of its addresses. `hostname` is what it is asked for in a handshake."""

    listen: Listen
    address: TcpAddress | UnixAddress
    hostname: str

    @property
    def place(self) -> Place:
        """As verdicts name it."""
        return Place(str(self.address))

    def enter(self) -> Conversation:
        """A connection with whatever encryption it begins with. Raises ConversationError."""
        implicit = tolerant() if self.listen.tls == "implicit" else None
        return self._open(implicit, self.hostname)

    def enter_encrypted(self, context: ssl.SSLContext | None = None, name: str | None = None) -> Conversation:
        """A connection under TLS; any certificate will do unless `context` says else. Raises ConversationError."""
        context, name = context or tolerant(), name or self.hostname
        if self.listen.tls == "implicit":
            return self._open(context, name)
        conversation = self._open(None, None)
        try:
            conversation.hello(name)
            reply = conversation.say("STARTTLS")
            if not reply.is_positive:
                raise ConversationError(f"STARTTLS is answered with {reply.text}")
            conversation.start_tls(context, name)
        except ConversationError:
            conversation.close()
            raise
        return conversation

    def _open(self, implicit: ssl.SSLContext | None, name: str | None) -> Conversation:
        return Conversation(self.address, balancers=self.listen.proxy_protocol, implicit=implicit, name=name)


def find_doors(listen: Listen, hostname: str) -> list[Door]:
    """How to come to a listener; none where only systemd knows where that is."""
    return [Door(listen, address, hostname) for address in _addresses(listen)]


def _addresses(listen: Listen) -> Iterator[TcpAddress | UnixAddress]:
    address = listen.address
    if isinstance(address, SystemdAddress):
        return
    if isinstance(address, UnixAddress) or address.host not in _LOOPBACK:
        yield address
        return
    yield TcpAddress(_LOOPBACK[address.host], address.port)
    own = own_address(address.host)
    if own is not None:
        yield TcpAddress(own, address.port)


def own_address(wildcard: str) -> str | None:
    """The address by which this machine talks to others, of the wildcard's family; None where it has none.

    To connect a UDP socket sends nothing, but has the kernel choose an address (RFC 5737, RFC 3849: nobody is there).
    """
    with contextlib.suppress(OSError), socket.socket(_FAMILY[wildcard], socket.SOCK_DGRAM) as sock:
        sock.connect((_ELSEWHERE[wildcard], 9))
        return str(sock.getsockname()[0])
    return None


def tolerant() -> ssl.SSLContext:
    """TLS for a client that takes any certificate: whether it is good is asked for itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
