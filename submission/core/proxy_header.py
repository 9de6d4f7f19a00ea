r"""The PROXY header, by which a load balancer names the client whose connection it passes on.

    PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\r\n            version 1, a line
    signature, version and command, family, length, addresses, TLVs      version 2, octets

Both are as HAProxy's doc/proxy-protocol.txt has them. The header comes once, before anything else, TLS included, and
only its own octets are its business: what follows it may be in the same packet. `parse` looks at what has come so far,
and gives up at the first octet that can't belong to a header, so that nobody waits for the rest of none.

Whether to believe a header is not decided here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

MAX_LINE = 107
"""Octets of a header of version 1, CRLF included (section 2.1)."""
MAX_SIZE = 4096
"""Octets of a header of version 2, which could be 64 KiB long: room for a Unix socket's addresses, the names in a
client's certificate and what else a balancer adds."""

IPAddress: TypeAlias = IPv4Address | IPv6Address

_MARK = b"PROXY "
_ADDRESS, _PORT = rb"([0-9A-Fa-f.:]+)", rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) %b %b %b %b)\r\n" % (_ADDRESS, _ADDRESS, _PORT, _PORT))
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_PREFIX = struct.Struct("!12sBBH")  # signature, version and command, family and transport, length of what follows
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
_ADDRESSES = {_TCP4: 12, _TCP6: 36, _UNIX_STREAM: 216}  # octets of both addresses and ports
_TLV = struct.Struct("!BH")  # type, length of the value
_CHECKSUM = 0x03  # the type of the TLV that holds a CRC32C of the whole header, itself taken for zero
_QUOTED = 8
"""Octets quoted of what is no header: enough to tell what it was, too few to hold a password."""


class ProxyHeaderError(ValueError):
    """What came is no valid PROXY header; the text says why."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A header that was read."""

    size: int
    """Its octets; what is behind them belongs to the client."""
    client: IPAddress | None
    """Where the client is. None where the header names no IP address: a Unix socket, an unknown family, or a
    connection of the balancer's own, such as a health check."""


def parse(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with, or None where that has to go on. Raises ProxyHeaderError."""
    if _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        return _parse_octets(data)
    if _MARK.startswith(data[: len(_MARK)]):
        return _parse_line(data)
    raise ProxyHeaderError(f"none, but '{data[:_QUOTED].decode('latin-1')}'")


def _parse_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, MAX_LINE) + 1
    if not end:
        if len(data) >= MAX_LINE:
            raise ProxyHeaderError(f"no end of line in {MAX_LINE} octets")
        return None
    line = data[:end]
    match = _LINE.fullmatch(line)
    if match is None:
        raise ProxyHeaderError(f"malformed: '{line[:-2].decode('latin-1')}'")
    if match[1] is None:
        return ProxyHeader(end, None)
    family = IPv4Address if match[1] == b"4" else IPv6Address
    try:
        client, _ = (family(address.decode()) for address in match.group(2, 3))
    except ValueError as error:
        raise ProxyHeaderError(f"bad address: {error}") from None
    if max(int(port) for port in match.group(4, 5)) > 0xFFFF:
        raise ProxyHeaderError(f"bad port: '{line[:-2].decode()}'")
    return ProxyHeader(end, client)


def _parse_octets(data: bytes) -> ProxyHeader | None:
    if len(data) < _PREFIX.size:
        return None
    _, command, family, length = _PREFIX.unpack_from(data)
    size = _PREFIX.size + length
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"unknown version and command 0x{command:02x}")
    if size > MAX_SIZE:
        raise ProxyHeaderError(f"{size} octets long, more than {MAX_SIZE}")
    if len(data) < size:
        return None
    if command == _LOCAL or family == _UNSPECIFIED:  # the rest is to be discarded, whatever it is (section 2.2)
        return ProxyHeader(size, None)
    if family not in _ADDRESSES:
        raise ProxyHeaderError(f"no family and transport of a stream: 0x{family:02x}")
    start, values = _PREFIX.size, _PREFIX.size + _ADDRESSES[family]
    if values > size:
        raise ProxyHeaderError(f"addresses cut short at {length} octets")
    _check_values(data[:size], values)
    if family == _TCP4:
        return ProxyHeader(size, IPv4Address(data[start : start + 4]))
    if family == _TCP6:
        return ProxyHeader(size, IPv6Address(data[start : start + 16]))
    return ProxyHeader(size, None)


def _check_values(header: bytes, start: int) -> None:
    """Whether the type-length-value entries from `start` on fill the header exactly, and its checksum is right."""
    has_checksum = False
    while start < len(header):
        end = start + _TLV.size
        kind, length = _TLV.unpack_from(header, start) if end <= len(header) else (header[start], 0)
        if end + length > len(header):
            raise ProxyHeaderError(f"TLV 0x{kind:02x} cut short")
        if kind == _CHECKSUM:
            if length != 4 or has_checksum:
                raise ProxyHeaderError("more than one checksum of four octets")
            has_checksum = True
            if _crc32c(header[:end] + bytes(4) + header[end + 4 :]) != int.from_bytes(header[end : end + 4]):
                raise ProxyHeaderError("wrong checksum")
        start = end + length


def _remainder(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
    return octet


_REMAINDERS = tuple(map(_remainder, range(256)))


def _crc32c(data: bytes) -> int:
    """Castagnoli's CRC (RFC 3720 section 12.1), which the standard library doesn't have; 0.3 ms for MAX_SIZE."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ _REMAINDERS[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF
