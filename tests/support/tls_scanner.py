"""What a TLS server takes, found out by first messages of handshakes (RFC 5246 section 7.4, RFC 8446 section 4).

A TLS library offers only what it would speak itself; here anything can be offered, every number of a version or a
cipher suite, known or not. The server's choice is in the clear: ServerHello, or an alert. Nothing is encrypted, and no
handshake is completed.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

SSL3, TLS10, TLS11, TLS12, TLS13 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
NAMES = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
    0xC024: "ECDHE-ECDSA-AES256-SHA384",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""What OpenSSL calls suites, as far as the tests speak of them."""

_AT_A_TIME = 4096  # suites in one message
_SIGNALS = {0x00FF, 0x5600}  # numbers that are no suites: renegotiation (RFC 5746) and fallback (RFC 7507)
_HANDSHAKE, _ALERT = 22, 21
_SERVER_HELLO = 2
SECP256R1 = 0x0017
FFDHE4096, FFDHE6144, FFDHE8192 = 0x0102, 0x0103, 0x0104
_GROUPS = (0x001D, SECP256R1, 0x0018, 0x0019, 0x001E)
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
_OFFERED_METHODS = b"\1\0"  # of compression: DEFLATE, then none

SERVER_NAME, STATUS_REQUEST, HEARTBEAT, ALPN, SESSION_TICKET, RENEGOTIATION = 0, 5, 15, 16, 35, 0xFF01
"""Extensions that a server answers to, if it has what they are about."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server chose."""

    version: int
    suite: int
    compression: int
    extensions: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An alert's description (RFC 8446 section 6); None where the server only closed."""

    alert: int | None


Connect = Callable[[], socket.socket]
"""Makes a connection on which a handshake may begin."""


def offer(
    connect: Connect, version: int, suites: Sequence[int], name: str, groups: Sequence[int] = _GROUPS
) -> Choice | Refusal:
    """Offer one version, these suites and groups for key exchange; what comes of it."""
    with connect() as connection:
        connection.sendall(_client_hello(version, suites, name, groups))
        with connection.makefile("rb") as stream:
            return _answer(stream)


def find_suites(connect: Connect, version: int, name: str, among: Iterable[int] = range(1 << 16)) -> list[int]:
    """All suites that a server takes under this version, in the order of its own preference as far as that shows."""
    left = [suite for suite in among if suite not in _SIGNALS]
    taken: list[int] = []
    for start in range(0, len(left), _AT_A_TIME):
        taken += _rank(connect, version, left[start : start + _AT_A_TIME], name)
    return _rank(connect, version, taken, name)


def _rank(connect: Connect, version: int, suites: Sequence[int], name: str) -> list[int]:
    """Offer these, then all but the one that was chosen, and so on."""
    left, ranked = list(suites), []
    while left and isinstance(choice := offer(connect, version, left, name), Choice):
        left.remove(choice.suite)
        ranked.append(choice.suite)
    return ranked


def _client_hello(version: int, suites: Sequence[int], name: str, groups: Sequence[int]) -> bytes:
    extensions = [
        (SERVER_NAME, _sized(b"\0" + _sized(name.encode()))),
        (STATUS_REQUEST, b"\1\0\0\0\0"),
        (0x000A, _sized(_numbers(groups))),
        (0x000B, b"\1\0"),  # points are not compressed
        (0x000D, _sized(_numbers(_SIGNATURES))),
        (HEARTBEAT, b"\1"),
        (ALPN, _sized(b"\2h2\x08http/1.1")),
        (SESSION_TICKET, b""),
        (RENEGOTIATION, b"\0"),
    ]
    methods = _OFFERED_METHODS
    if version == TLS13:
        extensions += [(0x002B, b"\2" + _numbers([TLS13])), (0x0033, _sized(b"")), (0x002D, b"\1\1")]
        methods = b"\0"  # another one would be a fault
    body = struct.pack("!H", min(version, TLS12)) + bytes(range(32)) + b"\0"
    body += _sized(_numbers(suites)) + bytes([len(methods)]) + methods
    body += _sized(b"".join(struct.pack("!H", kind) + _sized(content) for kind, content in extensions))
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BH", _HANDSHAKE, min(version, TLS10)) + _sized(message)


def _numbers(numbers: Iterable[int]) -> bytes:
    return b"".join(struct.pack("!H", number) for number in numbers)


def _sized(octets: bytes) -> bytes:
    return struct.pack("!H", len(octets)) + octets


def _answer(stream: BinaryIO) -> Choice | Refusal:
    header = stream.read(5)
    if len(header) < 5:
        return Refusal(None)
    kind, _, size = struct.unpack("!BHH", header)
    record = stream.read(size)
    if kind == _ALERT:
        return Refusal(record[1])
    assert (kind, record[0]) == (_HANDSHAKE, _SERVER_HELLO), record[:40]
    return _server_hello(record[4 : 4 + int.from_bytes(record[1:4], "big")])


def _server_hello(body: bytes) -> Choice:
    """Version, 32 octets of randomness, the session, suite and compression, and extensions."""
    (version,) = struct.unpack_from("!H", body)
    place = 35 + body[34]
    suite, compression = struct.unpack_from("!HB", body, place)
    place += 5  # behind the extensions' length, too
    extensions: dict[int, bytes] = {}
    while place < len(body):
        kind, size = struct.unpack_from("!HH", body, place)
        extensions[kind] = body[place + 4 : place + 4 + size]
        place += 4 + size
    if 0x002B in extensions:
        (version,) = struct.unpack("!H", extensions[0x002B])
    return Choice(version, suite, compression, frozenset(extensions))
