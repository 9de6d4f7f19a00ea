"""Names and passwords as bytes of a SASL message: strict UTF-8, bounded, never empty, without NUL.

Nothing is normalised here: which names are the same login is decided where the store is, on what the client typed.
"""

from __future__ import annotations

MAX_NAME = 511
"""Octets of a name: two halves of a login and the @ between them. RFC 4616 section 2 asks for 255 at least."""

MAX_PASSWORD = 1024
"""Octets of a password. RFC 4616 section 2 asks for 255 at least."""


def decode_name(data: bytes) -> str | None:
    """The user name in `data`, or None where it can't be one."""
    return _decode(data, MAX_NAME)


def decode_password(data: bytes) -> str | None:
    """The password in `data`, or None where it can't be one."""
    return _decode(data, MAX_PASSWORD)


def _decode(data: bytes, limit: int) -> str | None:
    if not 1 <= len(data) <= limit or b"\0" in data:
        return None
    try:
        return data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return None
