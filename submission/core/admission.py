"""Who may send without AUTH, and to whom: what the POP-before-SMTP table and the admin's lists say of an address.

In this order, the first that applies:

    deny            never, whatever else says so
    the table       somebody has read mail from there: the mail is that user's
    static          an address of the admin's own, whoever uses it
    relay domains   anybody, but only to recipients of these domains (backup MX)

A network where many people share addresses can be told to grant nobody: a login from there makes no grant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from submission.core import replies
from submission.core.addresses import Login, Mailbox
from submission.core.grants import Grant
from submission.core.replies import Reply
from submission.core.transaction import Identity, Via

Network: TypeAlias = IPv4Network | IPv6Network

_PLAIN_LOCAL = re.compile(rb"[A-Za-z0-9_=+.~$#-]+")
"""A local part in which sendmail finds no further address, program or file. `%`, `!`, `@`, `:` and quotes might hold
one, which would make a relay domain a way to everywhere."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The admin's lists. Domains are in lower case, without a leading dot."""

    realm: str
    static: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    shared: tuple[Network, ...] = ()
    relay_domains: frozenset[str] = frozenset()

    def may_have_grant(self, address: str) -> bool:
        """Whether a login from this address makes a grant."""
        parsed = _parse(address)
        return parsed is not None and not _is_in(parsed, (*self.deny, *self.shared))

    def identify(self, address: str, grant: Grant | None) -> Identity | None:
        """As whom a client may send who didn't authenticate; None where it may not.

        `grant` is what the table has for the address now. An address that is none (a Unix socket's) has no identity.
        """
        parsed = _parse(address)
        if parsed is None or _is_in(parsed, self.deny):
            return None
        if grant is not None and not _is_in(parsed, self.shared):
            login = self.find_login(grant.user)
            if login is not None:
                return Identity(Via.POP, login)
        if _is_in(parsed, self.static):
            return Identity(Via.STATIC, None)
        return Identity(Via.RELAY, None) if self.relay_domains else None

    def refuse_recipient(self, identity: Identity, recipient: Mailbox) -> Reply | None:
        """The reply to a recipient whom this identity may not write to, or None."""
        if identity.via is not Via.RELAY or self._is_relayed(recipient):
            return None
        return replies.RELAYING_DENIED

    def _is_relayed(self, recipient: Mailbox) -> bool:
        if not _PLAIN_LOCAL.fullmatch(recipient.local):
            return False
        labels = recipient.domain.decode("ascii", "replace").lower().rstrip(".").split(".")
        return any(".".join(labels[start:]) in self.relay_domains for start in range(len(labels)))

    def find_login(self, user: str) -> Login | None:
        """The login that a name in a log stands for, None for what can be none."""
        try:
            return Login.parse(user, self.realm)
        except ValueError:
            return None


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
