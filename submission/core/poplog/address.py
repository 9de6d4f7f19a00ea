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
    return None if _is_nobodys(address) else address


def _is_nobodys(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        is_local = address.is_unspecified or address.is_loopback or address.is_link_local
        return is_local or address.is_multicast or address.is_reserved
    first, second = address.packed[:2]  # RFC 6890; Python's own properties take several times as long
    return first in (0, 127) or first >= 224 or (first, second) == (169, 254)
