"""Names of people: logins (user@realm), mailboxes of the envelope (RFC 5321 section 4.1.2) and xtext (RFC 3461).

A login is not an address: user and realm are compared exactly as stored, a realm need not be a domain, and the
user part may hold an @ of its own (the last one separates the realm, as Cyrus SASL does it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LOGIN = 255
"""Octets in each half of a login."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Login:
    """A name to authenticate with. Both halves are normalised text, never empty, without control characters."""

    user: str
    realm: str

    def __str__(self) -> str:
        return f"{self.user}@{self.realm}"

    @classmethod
    def parse(cls, text: str, default_realm: str) -> Login:
        """`user` or `user@realm` as typed by a person or sent by a client.

        Raises ValueError, whose text names no part of the input, where a half is empty, too long or holds
        control characters.
        """
        user, at, realm = text.rpartition("@")
        if not at:
            user, realm = text, default_realm
        for half in (user, realm):
            if not half:
                raise ValueError("user and realm must not be empty")
            if _CONTROLS.search(half):
                raise ValueError("user and realm must not hold control characters")
            if len(half.encode()) > MAX_LOGIN:
                raise ValueError(f"user and realm are limited to {MAX_LOGIN} octets each")
        return cls(user, realm)
