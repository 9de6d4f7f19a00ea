"""Names and passwords as bytes of a SASL message: strict UTF-8, bounded, never empty, without NUL. And base64.

Nothing is normalised here: which names are the same login is decided where the store is, on what the client typed.
"""

from __future__ import annotations

import base64
import binascii

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


def decode_base64(text: bytes) -> bytes | None:
    """The octets that base64 stands for, or None where it is none, or not the one way to write them (RFC 4648)."""
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error:
        return None
    return data if base64.b64encode(data) == text else None


def _decode(data: bytes, limit: int) -> str | None:
    if not 1 <= len(data) <= limit or b"\0" in data:
        return None
    try:
        return data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return None
