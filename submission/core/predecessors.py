"""Files of the POP-before-SMTP systems that this one takes over from: who had a grant, and whom the admin let in.

    poprelayd   poprelay.conf ($timeout_minutes, $logfile); popip, what `makemap -u` prints of the database: address and
                seconds since the epoch; localip and relay: sources of makemap, `192.168 OK`, `example.org RELAY`
    POPauthd    access.info: date, user, address and seconds since the epoch between tabs; access.static, the lines
                that stay in sendmail's access file, `192.168 RELAY`, `10.0.0.1 REJECT`, `example.org RELAY`
    UW          popdata/: a file an address, as old as its last login

What can be taken becomes a Finding: a login, or a line for one of the configuration's lists. Nothing is guessed: what
isn't understood is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal, TypeAlias

MAX_LINE = 1000

_OCTETS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}\.?")
_DOMAIN = re.compile(r"\.?(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})+")
_REFUSING = ("REJECT", "ERROR", "DISCARD", "5")
_EPOCH = re.compile(r"[0-9]{1,10}")
_ASSIGNMENT = re.compile(
    r"""\s*\$(?P<name>\w+)\s*=\s*(?:'(?P<quoted>[^'\\]*)'|"(?P<text>[^"\\$@]*)"|(?P<number>\d+))\s*;.*"""
)

Setting: TypeAlias = Literal["static", "deny", "relay_domains", "logs", "lifetime"]


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody read mail from an address at that time, in seconds since the epoch; `user` is empty where unknown."""

    address: str
    user: str
    when: float


@dataclass(frozen=True, slots=True)
class Line:
    """A value for a key of [pop_before_smtp]."""

    setting: Setting
    value: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that isn't taken, and why."""

    what: str
    reason: str


Finding: TypeAlias = Login | Line | Refusal


def read_info(text: str) -> Iterator[Finding]:
    """POPauthd's access.info."""
    for what, line in _lines(text):
        fields = line.split("\t")
        if len(fields) != 4:
            yield Refusal(what, "not four fields between tabs")
            continue
        _, user, address, epoch = fields
        yield _login(what, address, user.strip(), epoch)


def read_popip(text: str) -> Iterator[Finding]:
    """Poprelayd's popip. Cobalt's keeps the ends of grants there: a login in the future, which is one of now."""
    for what, line in _lines(text):
        address, _, epoch = line.partition("\t")
        yield read_login(what, address, epoch)


def read_login(what: str, address: str, epoch: str) -> Finding:
    """An entry of poprelayd's popip, or a file of UW's popdata."""
    return _login(what, address, "", epoch)


def read_access(text: str) -> Iterator[Finding]:
    """Lines of sendmail's access file (access.static). OK lets nobody relay, so it isn't taken for more."""
    return _read_map(text, ("RELAY",))


def read_poprelay_map(text: str) -> Iterator[Finding]:
    """Poprelayd's localip or relay, where a key counts whatever stands beside it."""
    return _read_map(text, ("",))


def _read_map(text: str, allowing: tuple[str, ...]) -> Iterator[Finding]:
    for what, line in _lines(text):
        key, value = (*line.split(None, 1), "", "")[:2]
        tag, colon, rest = key.partition(":")
        if colon and tag.lower() == "connect":
            key = rest
        elif colon and tag.lower() != "ipv6":
            yield Refusal(what, "stays sendmail's own matter: it isn't about who connects")
            continue
        yield _place(what, key, value.upper(), allowing)


def read_conf(text: str) -> Iterator[Finding]:
    """Poprelayd's poprelay.conf: the plain assignments of a Perl file, which isn't run."""
    for what, line in _lines(text):
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment is None:
            continue  # its patterns are Perl; ours know the same servers
        value = assignment["quoted"] or assignment["text"] or assignment["number"] or ""
        match assignment["name"]:
            case "timeout_minutes" if value.isdigit() and int(value) > 0:
                yield Line("lifetime", f"{int(value)}m")
            case "timeout_minutes":
                yield Refusal(what, "not a number of minutes")
            case "logfile" if value.startswith("/"):
                yield Line("logs", value)


def _login(what: str, address: str, user: str, epoch: str) -> Finding:
    try:
        parsed = ip_address(address.strip())
    except ValueError:
        return Refusal(what, "not an IP address")
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast or parsed.is_link_local:
        return Refusal(what, "not the address of one client")
    if not _EPOCH.fullmatch(epoch.strip()):
        return Refusal(what, "no time in seconds since 1970")
    return Login(str(getattr(parsed, "ipv4_mapped", None) or parsed), user, float(epoch))


def _place(what: str, key: str, value: str, allowing: tuple[str, ...]) -> Finding:
    network = _network(key)
    is_domain = network is None and _DOMAIN.fullmatch(key) and not key.rpartition(".")[2].isdigit()
    if network is None and not is_domain:
        return Refusal(what, "neither an address, nor a network, nor a domain")
    if network is not None and ip_network(network).is_loopback:
        return Refusal(what, "this host itself: no port of ours lets it in without a login")
    if value.startswith(allowing):
        return Line("relay_domains", key.removeprefix(".").lower()) if network is None else Line("static", network)
    if network is not None and value.startswith(_REFUSING):
        return Line("deny", network)
    return Refusal(what, "stays sendmail's own matter: it lets nobody relay")


def _network(key: str) -> str | None:
    """The network that sendmail or poprelayd would take a key for: missing last octets stand for any."""
    if _OCTETS.fullmatch(key):
        octets = key.rstrip(".").split(".")
        key = ".".join(octets + ["0"] * (4 - len(octets))) + f"/{8 * len(octets)}"
    elif key.lower().startswith("ipv6:"):
        key = key[5:]
    try:
        network = ip_network(key)
    except ValueError:
        return None
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line that says something, after its number."""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        yield f"line {number}", stripped if len(stripped) <= MAX_LINE else ""
