"""Addresses of clients as logs write them, and which of them may be granted anything."""

from __future__ import annotations

import functools
import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_TEXT = 45
"""Characters of the longest address, an IPv6 one whose last part is written as IPv4."""


@functools.lru_cache(maxsize=4096)
def parse_address(text: bytes) -> Address | None:
    """The address of a client, or None if `text` is none or nobody's in particular.

    Nothing is resolved, completed or guessed: zones, masks, leading zeros, names and missing octets are refused. So are
    addresses that no client of ours can have: loopback, link-local, unspecified, multicast and reserved ones.
    """
    if len(text) > MAX_TEXT or b"%" in text or b"/" in text:
        return None
    try:
        address: Address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:  # UnicodeDecodeError too
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    is_nobody = address.is_unspecified or address.is_loopback or address.is_link_local or address.is_multicast
    return None if is_nobody or address.is_reserved or _is_this_network(address) else address


def _is_this_network(address: Address) -> bool:
    """Whether it is in 0.0.0.0/8 (RFC 1122 section 3.2.1.3), which Python calls private only."""
    return isinstance(address, ipaddress.IPv4Address) and int(address) >> 24 == 0
