"""What a TLS client says first, before there is any TLS: which groups it knows for the key exchange.

    record      handshake, version, length           RFC 8446 section 5.1
    message     client_hello, length                 section 4
    extension   supported_groups, a list of numbers  section 4.2.7; RFC 8422 section 5.1.1 for TLS 1.2

A context is chosen by it (smtp/tls.py), and nothing else: OpenSSL judges the message. So nothing here is a fault. Where
it is not what it should be, or comes in more than one record, which no client does, no group is known.
"""

from __future__ import annotations

X25519 = 0x001D

MAX_RECORD = 5 + (1 << 14)
"""Octets of a record of plain text, its header included."""
MAX_EXTENSIONS = 64
"""That are looked at; clients send twenty."""

_HANDSHAKE, _CLIENT_HELLO, _SUPPORTED_GROUPS = b"\x16", b"\x01", b"\x00\x0a"


def is_whole(octets: bytes | bytearray) -> bool:
    """Whether the first record is there, or something that isn't one."""
    if not octets.startswith(_HANDSHAKE):
        return bool(octets)
    return len(octets) >= 5 and len(octets) >= min(5 + int.from_bytes(octets[3:5]), MAX_RECORD)


def knows_group(octets: bytes, group: int) -> bool:
    """Whether a client whose first octets these are knows a group, by its number."""
    record, _ = _split(memoryview(octets)[3:], 2)
    if not octets.startswith(_HANDSHAKE) or record[:1] != _CLIENT_HELLO:
        return False
    hello, _ = _split(record[1:], 3)
    _session, rest = _split(hello[2 + 32 :], 1)  # behind version and random
    _suites, rest = _split(rest, 2)
    _compression, rest = _split(rest, 1)
    extensions, _ = _split(rest, 2)
    for _ in range(MAX_EXTENSIONS):
        kind, (value, extensions) = extensions[:2], _split(extensions[2:], 2)
        if kind == _SUPPORTED_GROUPS:
            listed, _ = _split(value, 2)
            return any(int.from_bytes(listed[place : place + 2]) == group for place in range(0, len(listed), 2))
    return False


def _split(octets: memoryview, size: int) -> tuple[memoryview, memoryview]:
    """A vector that has its length in front of it, in so many octets, and what is behind (RFC 8446 section 3.4)."""
    end = size + int.from_bytes(octets[:size])
    return octets[size:end], octets[end:]
