"""The settings: one class a table of the TOML file, one field a key, with its default and its range.

A check that looks at several keys runs once each of them is right by itself; it hangs on the last of the fields it
looks at, and raises `CrossCheckError` with the full keys of what it found.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from submission.config.limits import Limits
from submission.config.policy import Policy
from submission.config.pop import PopBeforeSmtp, pop_faults
from submission.config.tables import CrossCheckError, Table, unless
from submission.config.text import toml
from submission.config.values import (
    Domain,
    FilePath,
    ListenAddress,
    Mechanism,
    MetricsAddress,
    Networks,
    OptionalPath,
    Realm,
    RelayAddress,
    Seconds,
    ServerName,
    Several,
    StateFile,
    StoreUrl,
    SystemUser,
    TcpAddress,
    UnixAddress,
    not_empty,
)
from submission.config.vouchers import CertificateUser, OAuth, certificate_faults, oauth_faults
from submission.core.sasl.registry import MECHANISMS, USUAL, works_without_tls

TlsVersion: TypeAlias = Literal["1.0", "1.1", "1.2", "1.3"]
TlsMode: TypeAlias = Literal["starttls", "implicit", "none"]
Facility: TypeAlias = Literal[
    "auth", "authpriv", "daemon", "mail", "user",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Listen(Table):
    """A socket that clients connect to."""

    address: ListenAddress
    """An address and a port, `unix:` and a path, or `systemd:` and the name of a socket that systemd passes."""
    tls: TlsMode = "starttls"
    """From the start, by STARTTLS, or none at all."""
    proxy_protocol: Networks = ()
    """Whose PROXY header is believed, and then required."""
    tls_minimum: TlsVersion = "1.2"
    """That of [tls] where the file is silent."""
    pop_before_smtp: bool = True
    """Whether clients that have just read mail may use it."""


class Sni(Table):
    """The certificate for clients that ask for a certain name (RFC 6066 section 3)."""

    name: ServerName
    """As the client asks for it; `*.` at its front stands for one label of any name."""
    certificate: FilePath
    """PEM, with its chain."""
    key: FilePath
    """Its private key, PEM."""


class Tls(Table):
    """What clients see of us under TLS."""

    certificate: OptionalPath = None
    """PEM, with its chain; for clients that ask for no name of another."""
    key: OptionalPath = None
    """Its private key, PEM."""
    minimum: TlsVersion = "1.2"
    """The lowest version, where a listener says nothing else."""
    client_ca: OptionalPath = None
    """Who signs clients' certificates; where it is set, clients are asked for one."""
    sni: Several[Sni] = ()

    @field_validator("sni")
    @classmethod
    def _sni(cls, entries: tuple[Sni, ...]) -> tuple[Sni, ...]:
        """Refuse a name that is there twice."""
        count = Counter(entry.name for entry in entries)
        faults = {
            f"tls.sni[{number}].name": f'"{entry.name}" is there more than once'
            for number, entry in enumerate(entries)
            if count[entry.name] > 1
        }
        return unless(faults, entries)


class Auth(Table):
    """Who may log in, and how."""

    mechanisms: Annotated[Several[Mechanism], not_empty] = USUAL
    """What is offered, in this order."""
    require_tls: bool = True
    """Where it is false, mechanisms that send no password may be used without TLS; the others never."""
    realm: Realm = ""
    """Of users without an @; the host name where the file is silent."""
    exempt: Networks = ()
    """Networks whose failed logins bring no penalty."""
    certificate_login: bool = False
    """Whether a client that sends MAIL without AUTH is logged in by its certificate."""
    certificate: Several[CertificateUser] = ()
    """The first that fits a certificate says whose it is."""
    oauth: OAuth = OAuth()


class Store(Table):
    """Where the accounts are kept."""

    url: StoreUrl = "sqlite:users.db"
    """`sqlite:` or `sasldb2:` and a path, absolute once all settings are read."""
    key_file: StateFile = Path("store.key")
    """Seals what has to be recoverable; absolute likewise."""


class Relay(Table):
    """The mail system that takes the messages."""

    address: RelayAddress = TcpAddress("127.0.0.1", 25)
    """A host and a port, or `unix:` and a path."""
    tls: TlsMode = "none"
    """Its certificate is verified unless it is this host."""
    connect_timeout: Seconds = 30.0
    """For connection and greeting."""
    final_timeout: Seconds = 600.0
    """For the reply to the end of a message."""


class Log(Table):
    """How the log is written."""

    format: Literal["logfmt", "json"] = "logfmt"
    """How a line names its values."""
    syslog: Literal[Facility, ""] = ""
    """Where it isn't empty, the log goes to the host's syslogd, not to standard error."""


class Metrics(Table):
    """Where counters and the status page can be read."""

    address: MetricsAddress = TcpAddress("127.0.0.1", 9587)
    token_file: OptionalPath = None
    """Holds what has to be shown to read them; may be missing where only this host can ask."""
    client_config: bool = False
    """Whether mail programs are answered there, too, which ask how they are to be set up; without a token."""


class Settings(Table):
    """All settings. Paths are absolute, durations are seconds, sizes are octets."""

    model_config = ConfigDict(validate_default=True)  # for the checks below, and for the system's host name

    hostname: Domain = Field(default_factory=socket.gethostname)
    """In the greeting and in Received; the system's where the file is silent."""
    state_dir: FilePath = Path("/var/lib/submission")
    """Where accounts, keys and counters are kept."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Processes that serve clients; 0 is one for each CPU that we may use."""
    user: SystemUser = "submission"
    """What root becomes once everything is bound and read."""
    tls: Tls = Tls()
    listen: Annotated[Several[Listen], not_empty] = ()
    auth: Auth = Auth()
    store: Store = Store()
    relay: Relay = Relay()
    limits: Limits = Limits()
    policy: Policy = Policy()
    pop_before_smtp: PopBeforeSmtp = PopBeforeSmtp()
    log: Log = Log()
    metrics: Metrics = Metrics()

    @property
    def tls_minimums(self) -> tuple[TlsVersion, ...]:
        """The lowest versions that listeners ask for, each once; none where nobody speaks TLS."""
        return tuple(dict.fromkeys(listener.tls_minimum for listener in self.listen if listener.tls != "none"))

    def effective(self) -> str:
        """The settings as a TOML file that says the same: every key, defaults included."""
        return toml(self)

    @field_validator("listen")
    @classmethod
    def _listeners(cls, listeners: tuple[Listen, ...], info: ValidationInfo) -> tuple[Listen, ...]:
        """Refuse what no listener can be and TLS without a certificate; hand [tls] minimum down."""
        faults = {}
        for number, listener in enumerate(listeners):
            if sum(other.address == listener.address for other in listeners) > 1:
                faults[f"listen[{number}].address"] = f'"{listener.address}" is there more than once'
            if listener.proxy_protocol and isinstance(listener.address, UnixAddress):
                text = "has no effect on a Unix socket, whose clients come from no network, must be []"
                faults[f"listen[{number}].proxy_protocol"] = text
        tls: Tls | None = info.data.get("tls")
        if tls is None:
            return unless(faults, listeners)
        faults |= _missing_files(tls, any(listener.tls != "none" for listener in listeners))
        return unless(faults, tuple(_with_minimum(listener, tls.minimum) for listener in listeners))

    @field_validator("auth")
    @classmethod
    def _auth(cls, auth: Auth, info: ValidationInfo) -> Auth:
        """Refuse what contradicts itself, and `require_tls = false` where it would let nothing through.

        The host name is the default realm.
        """
        faults = {}
        if len(set(auth.mechanisms)) < len(auth.mechanisms):
            faults["auth.mechanisms"] = "a mechanism is there more than once"
        if not auth.require_tls and not any(map(works_without_tls, auth.mechanisms)):
            allowed = ", ".join(f'"{name}"' for name in MECHANISMS if works_without_tls(name))
            faults["auth.require_tls"] = (
                "false lets only mechanisms through that neither send the password nor need TLS: none of these; "
                f"must be true, or auth.mechanisms must hold one of {allowed}"
            )
        tls: Tls | None = info.data.get("tls")
        if tls is not None:
            is_login = auth.certificate_login
            faults |= certificate_faults(auth.certificate, tls.client_ca, auth.mechanisms, is_login=is_login)
        faults |= oauth_faults(auth.oauth, auth.mechanisms)
        realm = auth.realm or info.data.get("hostname", "")
        return unless(faults, auth.model_copy(update={"realm": realm}))

    @field_validator("store")
    @classmethod
    def _store(cls, store: Store, info: ValidationInfo) -> Store:
        """Resolve the store's files against state_dir."""
        state_dir: Path | None = info.data.get("state_dir")
        if state_dir is None:
            return store
        scheme, _, file = store.url.partition(":")
        return store.model_copy(update={"url": f"{scheme}:{state_dir / file}", "key_file": state_dir / store.key_file})

    @field_validator("limits")
    @classmethod
    def _limits(cls, limits: Limits, info: ValidationInfo) -> Limits:
        """Refuse a suspension that the store couldn't keep."""
        store: Store | None = info.data.get("store")
        if store is not None and limits.user.suspend and store.url.startswith("sasldb2:"):
            text = "a sasldb2 store can't keep that a user is disabled, must be false"
            raise CrossCheckError({"limits.user.suspend": text})
        return limits

    @field_validator("pop_before_smtp")
    @classmethod
    def _pop_before_smtp(cls, pop: PopBeforeSmtp) -> PopBeforeSmtp:
        return unless(pop_faults(pop), pop)

    @field_validator("relay")
    @classmethod
    def _relay(cls, relay: Relay, info: ValidationInfo) -> Relay:
        """Refuse a relay that is one of our listeners: each message would go round for ever."""
        for listener in info.data.get("listen", ()):
            if reaches(relay.address, listener.address):
                raise CrossCheckError(
                    {"relay.address": f'"{relay.address}" is a listener of our own, "{listener.address}"'}
                )
        return relay

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, metrics: Metrics) -> Metrics:
        """Refuse to tell other hosts who is there and how things stand, unless they know the token.

        Where mail programs are answered they come by a web server of this host, which may ask for an address, and pass
        on more than it should.
        """
        address = metrics.address
        if address is None or metrics.token_file is not None:
            return metrics
        reason = ""
        if not ipaddress.ip_address(address.host).is_loopback:
            reason = f'metrics.address, "{address}", is no loopback address'
        elif metrics.client_config:
            reason = "metrics.client_config is true, which brings others to the port"
        if reason:
            raise CrossCheckError({"metrics.token_file": f"is missing, must be the path of a file where {reason}"})
        return metrics


def _missing_files(tls: Tls, is_spoken: bool) -> dict[str, str]:
    """Whether certificate and key are there where a listener speaks TLS, and neither without the other."""
    faults = {}
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(tls, key) is None and (is_spoken or getattr(tls, other) is not None):
            reason = "listeners speak TLS" if is_spoken else f"tls.{other} is set"
            faults[f"tls.{key}"] = f"is missing, must be the path of a PEM file where {reason}"
    return faults


def _with_minimum(listener: Listen, minimum: TlsVersion) -> Listen:
    if "tls_minimum" in listener.model_fields_set:
        return listener
    return listener.model_copy(update={"tls_minimum": minimum})


def reaches(relay: RelayAddress, listener: ListenAddress) -> bool:
    """Whether a connection to `relay` would arrive at `listener`, as far as can be seen without DNS."""
    if relay == listener:
        return True
    if not isinstance(relay, TcpAddress) or not isinstance(listener, TcpAddress) or relay.port != listener.port:
        return False
    return relay.host in _LOOPBACK and (listener.host in _WILDCARDS or listener.host in _LOOPBACK)
