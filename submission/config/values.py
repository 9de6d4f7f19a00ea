"""The kinds of values that the configuration holds: durations, sizes, networks, addresses, paths, names.

Each is an annotated type: TOML's own value goes in, a Python value that needs no further parsing comes out. A
function that refuses raises ValueError with a text that says what is allowed; the value and its key are put before
it where the faults are collected.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from submission.config.text import shown
from submission.core.addresses import Login
from submission.core.poplog.registry import FORMATS
from submission.core.sasl.registry import MECHANISMS

T = TypeVar("T")
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MINUTE, MONTH = 60.0, 31 * 86400.0
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB)")
_OCTETS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_LEADING_OCTETS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PORT = re.compile(r"[0-9]{1,5}")
_SYSTEM_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_DESCRIPTOR_NAME = re.compile(r"[ -9;-~]{1,255}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def seconds(value: object) -> float:
    """A duration as the configuration has it. Raises ValueError, whose text says what is allowed."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a number of seconds or a text such as "30s", "15m", "2h", "7d"')
    return float(match[1]) * _SECONDS[match[2]]


def _octets(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a number of bytes or a text such as "512KiB", "40MiB", "1GiB"')
    return int(match[1]) * _OCTETS[match[2]]


def _network(value: object) -> Network:
    try:
        interface = ipaddress.ip_interface(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError('must be a network or an address, such as "192.0.2.0/24" or "2001:db8::1"') from None
    network = interface.network
    if network.network_address != interface.ip:
        raise ValueError(f'has bits set behind the prefix, the network is "{network}"')
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError('must be written as IPv4, such as "192.0.2.0/24"')
    return network


def _network_or_octets(value: object) -> Network:
    if isinstance(value, str) and _LEADING_OCTETS.fullmatch(value):
        octets = value.split(".")
        value = ".".join(octets + ["0"] * (4 - len(octets))) + f"/{8 * len(octets)}"
    return _network(value)


def _network_or_name(value: object) -> Network | str:
    try:
        return _network_or_octets(value)
    except ValueError as error:
        if isinstance(value, str) and DOMAIN.fullmatch(value) and not value.rpartition(".")[2].isdigit():
            return value.lower()
        raise ValueError(f'{error}, octets such as "192.168", or the name of a host') from None


def _log_source(value: str, info: ValidationInfo) -> str:
    """A file's path made absolute; the other forms as they are."""
    if value == "journal":
        return value
    scheme, colon, where = value.partition(":")
    if colon and scheme == "syslog":
        address = TcpAddress("", 0) if where.startswith("/") else _address(where, info, may_name_host=False)
        if address is None or isinstance(address, UnixAddress):
            raise ValueError('must be "syslog:/path" or "syslog:" and a local address with a port: "127.0.0.1:5514"')
        if address.host and not ipaddress.ip_address(address.host).is_loopback:
            raise ValueError("must be a loopback address, for anybody who reaches it can say who logged in")
        return value
    return str(absolute_path(value, info))


def _lifetime(value: float) -> float:
    if not MINUTE <= value <= MONTH:
        raise ValueError('must be from "1m" to "31d"')
    return value


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP socket: `host` is an address literal without brackets or, where that is allowed, a host name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket; `path` is absolute."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class SystemdAddress:
    """A socket that systemd passes, by its FileDescriptorName=."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


def _address(value: object, info: ValidationInfo, *, may_name_host: bool) -> TcpAddress | UnixAddress | None:
    """The address in `value`, or None where it is none that a client and a listener have in common."""
    if not isinstance(value, str):
        return None
    if value.startswith("unix:") and value != "unix:":
        return UnixAddress(absolute_path(value.removeprefix("unix:"), info))
    host, _, port = value.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        return None
    try:
        literal = ipaddress.ip_address(host[1:-1] if is_bracketed else host)
    except ValueError:
        is_name = DOMAIN.fullmatch(host) and not host.rpartition(".")[2].isdigit()
        return TcpAddress(host, int(port)) if may_name_host and is_name else None
    return TcpAddress(str(literal), int(port)) if is_bracketed == (literal.version == 6) else None


def _listen_address(value: object, info: ValidationInfo) -> TcpAddress | UnixAddress | SystemdAddress:
    if isinstance(value, str) and value.startswith("systemd:"):
        name = value.removeprefix("systemd:")
        if not _DESCRIPTOR_NAME.fullmatch(name):
            raise ValueError('must be "systemd:" and the FileDescriptorName= of a .socket unit, ASCII without ":"')
        return SystemdAddress(name)
    address = _address(value, info, may_name_host=False)
    if address is None:
        raise ValueError(
            'must be an address literal and a port (1 to 65535) such as "0.0.0.0:587" or "[::]:587", "unix:/path" '
            'or "systemd:NAME"'
        )
    return address


def _metrics_address(value: object, info: ValidationInfo) -> TcpAddress | None:
    if value is None or value == "":
        return None
    address = _address(value, info, may_name_host=False)
    if not isinstance(address, TcpAddress):
        raise ValueError('must be an address literal and a port (1 to 65535) such as "127.0.0.1:9587", or ""')
    return address


def _relay_address(value: object, info: ValidationInfo) -> TcpAddress | UnixAddress:
    address = _address(value, info, may_name_host=True)
    if address is None:
        raise ValueError('must be a host and a port (1 to 65535) such as "127.0.0.1:25" or "[::1]:25", or "unix:/path"')
    return address


def _relative_path(value: object) -> Path:
    text = str(value) if isinstance(value, Path) else value
    if not isinstance(text, str) or not text or _UNPRINTABLE.search(text):
        raise ValueError("must be the path of a file or folder")
    return Path(text)


def absolute_path(value: object, info: ValidationInfo) -> Path:
    """A path, relative to the folder of the configuration file. Raises ValueError."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder.absolute() / _relative_path(value)


def _path_or_none(value: object, info: ValidationInfo) -> Path | None:
    return None if value is None or value == "" else absolute_path(value, info)


def _domain(value: str) -> str:
    if not DOMAIN.fullmatch(value):
        raise ValueError('must be a host name such as "mail.example.com", in ASCII')
    return value


def _server_name(value: str) -> str:
    name = value.removeprefix("*.")
    if not DOMAIN.fullmatch(name) or name.rpartition(".")[2].isdigit():  # addresses are not asked for
        raise ValueError('must be a host name such as "mail.example.com" or "*.example.com", in ASCII')
    return value.lower()


def _realm(value: str) -> str:
    if value and ("@" in value or " " in value):
        raise ValueError("must hold neither @ nor blanks")
    if value:
        Login.parse("user", value)
    return value


def _system_user(value: str) -> str:
    if not _SYSTEM_USER.fullmatch(value) or value == "root":
        raise ValueError("must be the name of a system user other than root")
    return value


def _mechanism(value: str) -> str:
    if value.upper() not in MECHANISMS:
        raise ValueError("is not available in this version, allowed: " + ", ".join(map(shown, MECHANISMS)))
    return value.upper()


def _pop_format(value: str) -> str:
    if value not in FORMATS:
        raise ValueError("is no format, allowed: " + ", ".join(map(shown, FORMATS)))
    return value


def _store_url(value: str) -> str:
    scheme, _, name = value.partition(":")
    if scheme not in ("sqlite", "sasldb2"):
        raise ValueError('is not available in this version, allowed: "sqlite:FILE", "sasldb2:FILE"')
    if not name or _UNPRINTABLE.search(name):
        raise ValueError('must name a file, such as "sqlite:users.db"')
    return value


def _not_empty(value: T) -> T:
    if not value:
        raise ValueError("must hold one item at least")
    return value


not_empty = AfterValidator(_not_empty)

Several: TypeAlias = Annotated[tuple[T, ...], Field(strict=False)]
"""A TOML array: pydantic takes a list for a tuple only where it isn't strict. The items are as strict as ever."""

Seconds: TypeAlias = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=31 * 86400)]
Octets: TypeAlias = Annotated[int, BeforeValidator(_octets), Field(ge=1, le=1 << 40)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Quota: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""0 is unlimited."""
Networks: TypeAlias = Several[Annotated[Network, BeforeValidator(_network)]]
NetworksOrOctets: TypeAlias = Several[Annotated[Network, BeforeValidator(_network_or_octets)]]
NetworksOrNames: TypeAlias = Several[Annotated[Network | str, BeforeValidator(_network_or_name)]]
"""Names of hosts in lower case."""
Lifetime: TypeAlias = Annotated[Seconds, AfterValidator(_lifetime)]
LogSource: TypeAlias = Annotated[str, AfterValidator(_log_source)]
"""An absolute path, maybe with wildcards, "journal", "syslog:/path" or "syslog:127.0.0.1:5514"."""
ListenAddress: TypeAlias = Annotated[TcpAddress | UnixAddress | SystemdAddress, BeforeValidator(_listen_address)]
RelayAddress: TypeAlias = Annotated[TcpAddress | UnixAddress, BeforeValidator(_relay_address)]
MetricsAddress: TypeAlias = Annotated[TcpAddress | None, BeforeValidator(_metrics_address)]
FilePath: TypeAlias = Annotated[Path, BeforeValidator(absolute_path)]
StateFile: TypeAlias = Annotated[Path, BeforeValidator(_relative_path)]
OptionalPath: TypeAlias = Annotated[Path | None, BeforeValidator(_path_or_none)]
Domain: TypeAlias = Annotated[str, AfterValidator(_domain)]
ServerName: TypeAlias = Annotated[str, AfterValidator(_server_name)]
"""In lower case; "*." at the front stands for one label of any name."""
Realm: TypeAlias = Annotated[str, AfterValidator(_realm)]
SystemUser: TypeAlias = Annotated[str, AfterValidator(_system_user)]
Mechanism: TypeAlias = Annotated[str, AfterValidator(_mechanism)]
PopFormat: TypeAlias = Annotated[str, AfterValidator(_pop_format)]
StoreUrl: TypeAlias = Annotated[str, AfterValidator(_store_url)]
