"""Whether a message holds a password, as somebody types it who was told to "reply with your password".

Looked for are the password's octets as they are, and as base64 has them wherever in a group of three they begin. Not
found is what a line break divides, in the middle of base64 or behind the `=` of quoted-printable, a password whose
letters quoted-printable has encoded, and whatever was compressed or written with blanks between.
"""

from __future__ import annotations

import base64

MIN_LENGTH = 6
"""Octets of a password that is looked for: shorter ones are in every other message."""


class SecretFinder:
    """Looks through a message, cut into pieces anywhere. It is as secret as what it looks for: nobody logs it."""

    __slots__ = ("_before", "_forms", "_overlap")

    def __init__(self, secret: bytes) -> None:
        self._forms = [secret, *(_in_base64(secret, place) for place in range(3))] if len(secret) >= MIN_LENGTH else []
        self._overlap = max(map(len, self._forms), default=1) - 1
        self._before = b""  # of the next octets, as many as may belong to the secret

    def feed(self, octets: bytes) -> bool:
        """Whether the secret is in the next octets, or ends there."""
        window = self._before + octets
        self._before = window[-self._overlap :] if self._overlap else b""
        return any(form in window for form in self._forms)


def _in_base64(secret: bytes, place: int) -> bytes:
    """What base64 has of `secret` where `place` octets are before it in its group of three, whatever is around it."""
    encoded = base64.b64encode(bytes(place) + secret)
    return encoded[-(-place * 8 // 6) : (place + len(secret)) * 8 // 6]
