"""The phases of a session, and which command may come in which: the one table that decides.

    CONNECTED --EHLO/HELO--> READY --MAIL--> SENDER --RCPT--> RECIPIENTS --DATA--> (the message) --> READY

BDAT leads from RECIPIENTS to CHUNKS and, with LAST, to READY (RFC 3030 section 2).

RSET and a repeated EHLO lead back to READY, STARTTLS to CONNECTED. A refused MAIL or RCPT leaves the phase as it was.
AUTH is possible in READY only, so an identity never changes inside a transaction (RFC 4954 section 4).

The second table of this file is the gate: who may say MAIL at all. The relay trusts us as it trusts its own host, so
there is no other check behind it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from submission.core import replies
from submission.core.addresses import Login, Mailbox
from submission.core.parameters import Parameters
from submission.core.replies import Reply


class Phase(enum.Enum):
    """How far a session has come."""

    CONNECTED = "no EHLO yet"
    READY = "no transaction"
    SENDER = "MAIL was accepted"
    RECIPIENTS = "at least one RCPT was accepted"
    CHUNKS = "the message has begun, and BDAT goes on with it"

    __hash__ = object.__hash__  # Enum's own is in Python, and every command looks into ORDER


class Via(enum.Enum):
    """By which way a client became entitled to send. A value here is a word in the log."""

    AUTH = "auth"
    POP = "pop"  # somebody has read mail from the same address
    STATIC = "static"  # the address is the admin's own
    RELAY = "relay"  # anybody, to the domains that mail is relayed to for all (admission.py)


@dataclass(frozen=True, slots=True)
class Identity:
    """Why a client may send, and as whom; `login` is None where nobody in particular is known.

    `senders` are the only ones that it may name, addresses and `@domain`s, unless there are none.
    """

    via: Via
    login: Login | None
    senders: tuple[str, ...] = ()
    user: str | None = field(init=False, repr=False, compare=False)
    """The login as the log has it."""

    def __post_init__(self) -> None:
        """Put the login into words once: every message needs them several times."""
        object.__setattr__(self, "user", str(self.login) if self.login else None)


@dataclass(slots=True)
class Peer:
    """What is known of a client: where it comes from, and what it said, offered and proved since.

    TLS starts all but the first two anew (RFC 3207 section 4.2), see `forget`.
    """

    session: str  # our id for the connection, in every line of the log
    address: str = ""  # IP address; empty on a Unix socket
    tls: str = ""  # such as "TLSv1.3"; empty without
    cipher: str = ""
    end_point: bytes | None = None  # the certificate that it saw (RFC 5929 section 4), if we can tell
    certified: str = ""  # the user whom its certificate names; empty where it has none, or nobody's
    hello: str = ""  # what EHLO or HELO named
    offered: frozenset[str] = frozenset()  # extensions in our reply to EHLO; none after HELO
    identity: Identity | None = None  # as AUTH proved it
    password: str = field(default="", repr=False)  # that it did so with, kept only where messages are searched for it

    def forget(self) -> None:
        """Drop everything that was said in the clear."""
        self.hello = ""
        self.offered = frozenset()
        self.identity = None
        self.password = ""

    @property
    def user(self) -> str | None:
        """The login as the log has it."""
        return self.identity.user if self.identity else None


@dataclass(slots=True)
class Envelope:
    """One transaction's envelope, as far as it has come. `recipients` counts the accepted ones.

    `identity` is why its client may send: the session's, or what the client's address had when MAIL came.
    """

    sender: Mailbox
    identity: Identity
    parameters: Parameters = field(default_factory=dict)
    recipients: int = 0


_ANY: Mapping[Phase, Reply | None] = MappingProxyType({})


def _only(*phases: Phase, otherwise: Mapping[Phase, Reply]) -> Mapping[Phase, Reply | None]:
    return MappingProxyType({phase: None if phase in phases else otherwise[phase] for phase in Phase})


_HELLO = {Phase.CONNECTED: replies.HELLO_FIRST}

ORDER: Mapping[str, Mapping[Phase, Reply | None]] = MappingProxyType(
    {
        "EHLO": _ANY,
        "HELO": _ANY,
        "NOOP": _ANY,
        "HELP": _ANY,
        "VRFY": _ANY,
        "EXPN": _ANY,
        "RSET": _ANY,
        "QUIT": _ANY,
        "STARTTLS": _only(
            Phase.READY,
            otherwise={
                **_HELLO,
                Phase.SENDER: replies.TLS_NOT_NOW,
                Phase.RECIPIENTS: replies.TLS_NOT_NOW,
                Phase.CHUNKS: replies.TLS_NOT_NOW,
            },
        ),
        "AUTH": _only(
            Phase.READY,
            otherwise={
                **_HELLO,
                Phase.SENDER: replies.AUTH_NOT_NOW,
                Phase.RECIPIENTS: replies.AUTH_NOT_NOW,
                Phase.CHUNKS: replies.AUTH_NOT_NOW,
            },
        ),
        "MAIL": _only(
            Phase.READY,
            otherwise={
                **_HELLO,
                Phase.SENDER: replies.MAIL_IN_PROGRESS,
                Phase.RECIPIENTS: replies.MAIL_IN_PROGRESS,
                Phase.CHUNKS: replies.MAIL_IN_PROGRESS,
            },
        ),
        "RCPT": _only(
            Phase.SENDER,
            Phase.RECIPIENTS,
            otherwise={**_HELLO, Phase.READY: replies.MAIL_FIRST, Phase.CHUNKS: replies.CHUNKS_FIRST},
        ),
        "DATA": _only(
            Phase.RECIPIENTS,
            otherwise={
                **_HELLO,
                Phase.READY: replies.MAIL_FIRST,
                Phase.SENDER: replies.RECIPIENT_FIRST,
                Phase.CHUNKS: replies.CHUNKS_FIRST,
            },
        ),
        "BDAT": _only(
            Phase.RECIPIENTS,
            Phase.CHUNKS,
            otherwise={
                **_HELLO,
                Phase.READY: replies.MAIL_FIRST,
                Phase.SENDER: replies.RECIPIENT_FIRST,
            },
        ),
    }
)
"""Each verb we know: for each phase the reply that refuses it, or None. An empty row allows it everywhere."""


def refuse_order(verb: str, phase: Phase) -> Reply | None:
    """The reply to a known verb that comes at the wrong time, or None where it may go on."""
    return ORDER[verb].get(phase)


def refuse_mail(identity: Identity | None, *, can_start_tls: bool) -> Reply | None:
    """The gate: the reply that refuses MAIL, or None for a client that may send.

    `can_start_tls` is whether TLS is still ahead on this connection, for then that is what the client has to do first.
    """
    if identity is not None:
        return None
    return replies.TLS_REQUIRED if can_start_tls else replies.AUTH_REQUIRED
