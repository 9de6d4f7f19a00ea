"""Files of the POP-before-SMTP systems that this one takes over from: who had a grant, and whom the admin let in.

    poprelayd   poprelay.conf ($timeout_minutes, $logfile); popip, what `makemap -u` prints of the database: address and
                seconds since the epoch; sources of makemap: localip, who may send, `192.168 OK`, and relay, the
                domains that anybody may send to, `example.org RELAY`
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
    for what, line in _lines(text):
        key, value = _fields(line)
        tag, colon, rest = key.partition(":")
        if not colon or tag.lower() == "ipv6":
            yield _entry(what, key, value.upper(), is_only_about_clients=False)
        elif tag.lower() == "connect":
            yield _entry(what, rest, value.upper(), is_only_about_clients=True)
        else:
            yield Refusal(what, "stays sendmail's own matter: it isn't about who connects")


def read_localip(text: str) -> Iterator[Finding]:
    """Poprelayd's localip: who may send. A key counts whatever stands beside it, and a name there let nobody in."""
    for what, line in _lines(text):
        yield _static(what, _fields(line)[0])


def read_relay(text: str) -> Iterator[Finding]:
    """Poprelayd's relay: domains that anybody may send to. An address there let nobody in."""
    for what, line in _lines(text):
        yield _relay_domain(what, _fields(line)[0])


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


def _entry(what: str, key: str, value: str, is_only_about_clients: bool) -> Finding:
    """A line of the access file. `RELAY` beside a domain is for who sends to it, and for clients that DNS gives it."""
    network = _network(key)
    if network is None and not _is_domain(key):
        return Refusal(what, "neither an address, nor a network, nor a domain")
    if value == "RELAY":
        if network is not None:
            return _static(what, key)
        if not is_only_about_clients:
            return _relay_domain(what, key)
        return Refusal(what, "stays sendmail's own matter: what DNS calls a client lets nobody in here")
    if network is not None and value.startswith(_REFUSING):
        return Line("deny", network)
    return Refusal(what, "stays sendmail's own matter: it lets nobody relay")


def _static(what: str, key: str) -> Finding:
    network = _network(key)
    if network is None:
        return Refusal(what, "neither an address nor a network")
    if ip_network(network).is_loopback:
        return Refusal(what, "this host itself: no port of ours lets it in without a login")
    return Line("static", network)


def _relay_domain(what: str, key: str) -> Finding:
    if not _is_domain(key):
        return Refusal(what, "not a domain")
    return Line("relay_domains", key.removeprefix(".").lower())


def _is_domain(key: str) -> bool:
    return _DOMAIN.fullmatch(key) is not None and not key.rpartition(".")[2].isdigit()


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
    """Each line that says something, after its number.

    Lines end as they did for who wrote them: of what Python takes for an end besides, a user's name may hold any.
    """
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        yield f"line {number}", stripped if len(stripped) <= MAX_LINE else ""


def _fields(line: str) -> tuple[str, str]:
    """Key and value of a line for makemap, empty where there is none."""
    key, value = (*line.split(None, 1), "", "")[:2]
    return key, value
