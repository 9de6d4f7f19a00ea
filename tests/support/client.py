"""A client that does what no mail program would: raw octets at any moment, and every way of leaving."""

from __future__ import annotations

import base64
import socket
import ssl
import struct
from pathlib import Path
from typing import Literal, Self

from tests.support.network import PATIENCE
from tests.support.sasl_client import cram_md5
from tests.support.server import Server

Departure = Literal["close", "reset", "half-close"]


class Client:
    """One connection to the service, its greeting read; `with` closes it."""

    def __init__(
        self,
        server: Server,
        kind: str = "implicit",
        proxied_for: str | bytes = "",
        source: str = "127.0.0.1",
        certificate: Path | None = None,
    ) -> None:
        """`kind` is that of the listener; on one with STARTTLS, nothing is encrypted until `start_tls`.

        `proxied_for` is the address that a balancer has the client come from, on a listener for balancers, or the
        balancer's whole header; `source` the one that it does come from. `certificate` is shown wherever there is TLS.
        """
        self._server = server
        self._certificate = certificate
        self._socket = server.connect(kind, source, certificate)
        self._socket.settimeout(PATIENCE)
        if isinstance(proxied_for, bytes):
            self._socket.sendall(proxied_for)
        elif proxied_for:
            family, ours = ("TCP6", "2001:db8::1") if ":" in proxied_for else ("TCP4", "192.0.2.1")
            self._socket.sendall(f"PROXY {family} {proxied_for} {ours} 49152 587\r\n".encode())
        if kind == "balanced-implicit":
            self._socket = server.encrypt(self._socket, certificate)
        self._stream = self._socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave("close")

    @property
    def port(self) -> int:
        """The port at this end."""
        return int(self._socket.getsockname()[1])

    @property
    def tls(self) -> ssl.SSLSocket:
        """What is encrypted."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return self._socket

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._socket.sendall(octets)

    def reply(self) -> bytes:
        """The next reply, all of its lines as they came; empty where the service has closed."""
        lines = []
        while line := self._stream.readline():
            assert line.endswith(b"\r\n"), line
            lines.append(line)
            if line[3:4] != b"-":
                break
        return b"".join(lines)

    def rest(self) -> bytes:
        """All that comes until the service closes."""
        return self._stream.read()

    def say(self, line: str) -> bytes:
        """Send a line, and wait for the reply."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def say_each(self, *lines: str) -> list[bytes]:
        """Send lines, each once the one before it was answered; the replies."""
        return [self.say(line) for line in lines]

    def send_message(self, message: bytes) -> bytes:
        """Send a message that needs no doubling of dots, and its end; the reply."""
        self.send(message + b".\r\n")
        return self.reply()

    def submit(self, message: bytes, recipient: str) -> bytes:
        """A whole transaction; the reply to the message, or to what didn't get so far."""
        for command in ("MAIL FROM:<carol@example.com>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = self.say(command)
            if reply[:1] not in b"23":
                return reply
        return self.send_message(message)

    def submit_until_taken(self, message: bytes, recipient: str) -> None:
        """Submit as a mail program does, again while it is told so: the service spares a relay that was away."""
        while (reply := self.submit(message, recipient)).startswith(b"451 4.4.1 "):
            pass
        assert reply.startswith(b"250 "), reply

    def start_tls(self) -> None:
        """Ask for TLS and shake hands."""
        assert self.say("STARTTLS").startswith(b"220 ")
        self.shake_hands()

    def shake_hands(self) -> None:
        """Begin TLS, for which the service is ready."""
        self._stream.close()
        self._socket = self._server.encrypt(self._socket, self._certificate)
        self._stream = self._socket.makefile("rb")

    def log_in(self, user: str, password: str) -> bytes:
        """Say EHLO and authenticate with CRAM-MD5, which needs no TLS; the last reply."""
        self.say("EHLO client.example")
        challenge = base64.b64decode(self.say("AUTH CRAM-MD5")[4:]).decode()
        return self.say(base64.b64encode(cram_md5(challenge, user, password).encode()).decode())

    def leave(self, departure: Departure) -> None:
        """Close; reset, as a machine that was switched off and on does; or send no more, but listen still."""
        if departure == "half-close":
            self._socket.shutdown(socket.SHUT_WR)
            return
        if departure == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.close()
        self._socket.close()
