"""A balancer's header: it is the same however much of it has come and whatever is behind it, and bounded.

Before its last octet has come the answer is "not yet", so that nothing of the client's is taken for the header's and
nothing of the header for the client's. A line names the client that its third word is.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

from submission.core.proxy_header import MAX_LINE, MAX_SIZE, ProxyHeader, ProxyHeaderError, parse

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FOUR = bytes([203, 0, 113, 5, 192, 0, 2, 1]) + struct.pack("!2H", 49152, 587)
_SIX = ipaddress.ip_address("2001:db8::5").packed * 2 + struct.pack("!2H", 49152, 587)
_QUOTED = 300
"""Characters of a complaint, which goes into the log."""


def seeds() -> Iterator[bytes]:
    """Headers of both versions."""
    yield b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\r\nEHLO x\r\n"
    yield b"PROXY TCP6 2001:db8::5 ::1 49152 587\r\n"
    yield b"PROXY UNKNOWN ffff::1 x 1 2\r\n"
    yield b"PROXY UNKNOWN\r\n\x16\x03\x01"
    for command, family, content in (
        (0x21, 0x11, _FOUR),
        (0x21, 0x21, _SIX + b"\x04\0\3abc"),
        (0x21, 0x11, _FOUR + b"\x03\0\4" + bytes(4)),
        (0x21, 0x31, bytes(216)),
        (0x20, 0x00, b"anything"),
    ):
        yield _SIGNATURE + struct.pack("!BBH", command, family, len(content)) + content + b"EHLO x\r\n"


def check(data: bytes) -> None:
    """Parse what has come, then less of it and more."""
    header = _parse(data)
    if not isinstance(header, ProxyHeader):
        assert header is not None or len(data) < MAX_SIZE, "waits for more than a header can be"
        return
    is_line = data.startswith(b"PROXY ")
    assert 0 < header.size <= min(len(data), MAX_LINE if is_line else MAX_SIZE)
    assert _parse(data[: header.size]) == _parse(data[: header.size] + b"\0\xffPROXY \r\n") == header
    for size in {*range(min(header.size, 2 * MAX_LINE)), header.size // 2, header.size - 1}:
        assert _parse(data[:size]) is None, f"is already sure after {size} octets of {header.size}"
    if is_line and header.client is not None:
        assert ipaddress.ip_address(data.split(b" ")[2].decode()) == header.client


def _parse(data: bytes) -> ProxyHeader | str | None:
    try:
        return parse(data)
    except ProxyHeaderError as error:
        assert len(str(error)) <= _QUOTED
        return str(error)
