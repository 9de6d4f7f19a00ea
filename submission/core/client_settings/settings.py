"""What a mail program has to know of a server: where it is, what of TLS it speaks, and how one logs in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Self

TlsMode = Literal["implicit", "starttls"]

_INCOMING = re.compile(r"(?P<scheme>imaps?|pop3s?)://(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?/?")
_PORTS = {"imaps": 993, "imap": 143, "pop3s": 995, "pop3": 110}


class NoWayError(ValueError):
    """A mail program can't use the service in the way that a format knows. The text tells the admin why."""


class LoginMethod(Enum):
    """What mail programs tell apart of ways to log in, with their mechanisms; the one that fits most people first."""

    PASSWORD = ("PLAIN", "LOGIN")
    ENCRYPTED_PASSWORD = ("CRAM-MD5", "DIGEST-MD5")
    TOKEN = ("OAUTHBEARER", "XOAUTH2")
    CERTIFICATE = ("EXTERNAL",)


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mail program connects to."""

    host: str
    port: int
    tls: TlsMode


@dataclass(frozen=True, slots=True)
class Incoming:
    """Where users read their mail, which is none of our business, but mail programs set both up at once."""

    protocol: Literal["imap", "pop3"]
    server: Server

    @classmethod
    def parse(cls, url: str) -> Self:
        """`imaps://HOST`, `imap://HOST` (STARTTLS), `pop3s://HOST`, `pop3://HOST`, or HOST:PORT. Raises ValueError."""
        match = _INCOMING.fullmatch(url)
        if match is None or int(match["port"] or 1) > 65535:
            raise ValueError("must be imaps://, imap://, pop3s:// or pop3:// and a host, with a port or without")
        scheme = match["scheme"]
        port = int(match["port"] or _PORTS[scheme])
        tls: TlsMode = "implicit" if scheme.endswith("s") else "starttls"
        return cls("imap" if scheme.startswith("imap") else "pop3", Server(match["host"], port, tls))


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """All of it, for the users of one realm."""

    realm: str
    """The domain of their logins, and of their addresses."""
    outgoing: tuple[Server, ...]
    """One at least, the best first."""
    mechanisms: tuple[str, ...]
    incoming: Incoming | None = None

    @property
    def logins(self) -> tuple[LoginMethod, ...]:
        """The ways to log in that are offered under TLS, the best first. Raises NoWayError where there is none."""
        logins = tuple(login for login in LoginMethod if not set(login.value).isdisjoint(self.mechanisms))
        if not logins:
            raise NoWayError("no mechanism is offered that mail programs have a name for: add PLAIN to auth.mechanisms")
        return logins

    @property
    def read_from(self) -> Incoming:
        """The server that mail is read from. Raises NoWayError where none is known."""
        if self.incoming is None:
            raise NoWayError("the format needs a server for incoming mail too")
        return self.incoming
