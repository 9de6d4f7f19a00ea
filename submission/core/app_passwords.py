"""App passwords: further secrets of a user, one for each program or device, each good for only so much.

They are of our making, a hundred bits from a generator that nobody can foretell, so there is nothing to guess at: what
is kept is a plain digest, compared in a microsecond. They are written in groups that can be typed into a printer;
blanks and hyphens between them, and the case of letters, don't count.

They are good for PLAIN and LOGIN. The other mechanisms begin with one salt or one secret for the login, before it is
known which of several passwords the client has.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address, ip_network

from submission.core.addresses import Mailbox

MAX_LABEL = 64
USED_AGAIN = 3600.0
"""Seconds within which a further use isn't noted: each note is a change of the store."""

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 letters, none of them like another
_GROUPS, _LETTERS = 5, 4
RANDOM = 13
"""Octets that `write_out` needs."""
_LABEL = re.compile(r"[\w.+-][\w .+-]*")


@dataclass(frozen=True, slots=True)
class AppPassword:
    """What is kept of one. Times are seconds since the epoch; `expires` and `used` are 0 for never."""

    label: str
    digest: str = field(repr=False)
    created: float = 0.0
    expires: float = 0.0
    networks: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    used: float = 0.0

    def is_good(self, address: str, now: float) -> bool:
        """Whether it may be used now, from this address (empty for a Unix socket's client)."""
        if self.expires and now >= self.expires:
            return False
        if not self.networks:
            return True
        if not address:
            return False
        client = ip_address(address)
        networks = map(ip_network, self.networks)
        return any(client.version == network.version and client in network for network in networks)

    def encode(self) -> str:
        """As it is kept, but for its label, which is its key."""
        values = asdict(self)
        del values["label"]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def decode(cls, label: str, text: str) -> AppPassword | None:
        """What was kept; None where it isn't of our making."""
        try:
            values = json.loads(text)
            for name in ("networks", "senders"):
                values[name] = tuple(map(str, values[name]))
            for network in values["networks"]:
                ip_network(network)
            numbers = {name: float(values[name]) for name in ("created", "expires", "used")}
            return cls(label, str(values["digest"]), networks=values["networks"], senders=values["senders"], **numbers)
        except (ValueError, TypeError, KeyError):
            return None


def check_label(label: str) -> None:
    """Raise ValueError for a label that can be none."""
    if len(label) > MAX_LABEL or not _LABEL.fullmatch(label):
        raise ValueError(f"must be 1 to {MAX_LABEL} letters, digits, blanks and . _ + -")


def write_out(random: bytes) -> str:
    """A new password, such as `k7mh-2xwq-…`, of RANDOM octets that nobody can foretell."""
    number = int.from_bytes(random[:RANDOM])
    letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in range(_GROUPS * _LETTERS))
    return "-".join(letters[start : start + _LETTERS] for start in range(0, len(letters), _LETTERS))


def digest(password: str) -> str:
    """What is kept of a password, however it was typed; empty for what can be none of ours."""
    typed = password.replace("-", "").replace(" ", "").lower()
    if len(typed) != _GROUPS * _LETTERS or not typed.isascii():
        return ""
    return hashlib.sha256(typed.encode()).hexdigest()


def find(kept: Iterable[AppPassword], password: str) -> AppPassword | None:
    """The one that a password is, good or not."""
    wanted = digest(password)
    found = None
    for each in kept:
        if wanted and hmac.compare_digest(each.digest, wanted):
            found = each
    return found


def allows_sender(senders: tuple[str, ...], sender: Mailbox) -> bool:
    """Whether one that is good for these senders, `address` or `@domain`, is for this; none named are all.

    Not for the null sender: it would be a way to write to anybody in nobody's name.
    """
    if not senders:
        return True
    text = sender.text.lower()
    _, _, domain = text.rpartition(b"@")
    return bool(text) and any(each.lower().encode() in (text, b"@" + domain) for each in senders)
