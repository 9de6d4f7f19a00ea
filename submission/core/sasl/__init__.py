"""SASL mechanisms, server side, as step machines (RFC 4422): bytes in, a Step out. One file a mechanism.

A machine never sees base64, `*`, `=` or a network: smtp/authentication.py does these. It never sees the store
either. Where it needs something from there it says so with a step, and is given the answer:

    start(initial)         -> Step     initial response, or None where the client sent none
    respond(data)          -> Step     the client's answer to the last Challenge
    resolve(answer)        -> Step     the answer to the last question: one of those in `Question`

A machine ends with Success or Failure and is not used again. Any bytes whatever give a Step, never an exception.
For a login that doesn't exist the shell answers `False`, `None` or keys that fit no password, and the machine spends
the same work as for a wrong password before it fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

if TYPE_CHECKING:
    from submission.core.sasl.scram_keys import ScramKeys

MAX_RESPONSE = 12288
"""Octets of a base64 line that a server must take (RFC 4954 section 4)."""


class Need(Enum):
    """What the store has to keep of a login, for a mechanism to serve it."""

    PASSWORD = "the password's hash"  # noqa: S105
    SECRET = "the password itself"  # noqa: S105
    SCRAM_SHA_256 = "keys for SCRAM-SHA-256"
    SCRAM_SHA_1 = "keys for SCRAM-SHA-1"
    NOTHING = "nothing but the login, for somebody else vouches for the client"


@dataclass(frozen=True, slots=True)
class Channel:
    """What a mechanism may know of us, and of the connection that it runs on."""

    nonce: bytes = field(repr=False)  # registry.make_nonce
    realm: str = ""  # ours, for names without one
    end_point: bytes | None = None  # tls-server-end-point of this connection (RFC 5929 section 4), where it has one
    offers_binding: bool = False  # whether the client was offered a mechanism that binds the channel
    scope: str = ""  # what a token has to be good for (RFC 6749 section 3.3), for the client whose token isn't
    openid_configuration: str = ""  # URL where that client reads how to get a better one, likewise


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this to the client, and pass its answer to `respond`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Ask the store whether this is the login's password; pass True or False to `resolve`.

    `name` is what the client typed: the shell turns it into a Login, for realms and normalisation are its matter.
    """

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FetchSecret:
    """Ask the store for the login's recoverable password; pass its bytes, or None, to `resolve`."""

    name: str


@dataclass(frozen=True, slots=True)
class FetchKeys:
    """Ask the store for the login's SCRAM keys; pass them to `resolve`, or some that nobody can log in with."""

    name: str
    need: Need


@dataclass(frozen=True, slots=True)
class CheckToken:
    """Ask whether a bearer token (RFC 6750) is good, and that of `name`; pass True or False to `resolve`.

    An empty `name` is whoever the token's user is.
    """

    name: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckCertificate:
    """Ask whether the client's certificate is that of `name`; pass True or False to `resolve`.

    An empty `name` is whoever the certificate's user is.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Success:
    """The client proved to be `name`, empty where it left that to its token or certificate.

    An authorization identity that differs never gets here.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The exchange failed. `reason` is one of a few fixed words for the log, never for the client."""

    reason: str
    name: str = ""


Question: TypeAlias = CheckPassword | FetchSecret | FetchKeys | CheckToken | CheckCertificate
Step: TypeAlias = Challenge | Question | Success | Failure

Answer: TypeAlias = "bool | bytes | ScramKeys | None"
"""What the shell may answer to a question."""

BAD_CREDENTIALS = "bad-credentials"
MALFORMED = "malformed"
AUTHZID_REFUSED = "authzid-refused"
BINDING_REFUSED = "binding-refused"
"""The client is bound to another channel than ours: it can't do otherwise, or somebody is in the middle."""


class Mechanism(Protocol):
    """One exchange of one client."""

    NAME: ClassVar[str]
    """As in EHLO, upper case."""
    SENDS_PASSWORD: ClassVar[bool]
    """Whether a listener could read a password or token, so that it is never offered without TLS."""
    NEED: ClassVar[Need]

    def __init__(self, channel: Channel) -> None:
        """Every mechanism is made with a channel, whether it has a use for it or not."""

    def start(self, initial: bytes | None) -> Step:
        """Begin, with the client's initial response if it sent one."""

    def respond(self, data: bytes) -> Step:
        """Go on with the client's answer to the last Challenge."""

    def resolve(self, answer: Answer) -> Step:
        """Go on with the answer to the last question."""
