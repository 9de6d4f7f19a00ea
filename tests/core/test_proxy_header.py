"""The parser of PROXY headers, octet by octet. Where the standard leaves no choice, aiosmtpd's parser has to agree."""

import asyncio
import ipaddress
import struct

import pytest
from aiosmtpd.proxy_protocol import get_proxy
from hypothesis import example, given
from hypothesis import strategies as st

from submission.core import proxy_header as module
from submission.core.proxy_header import MAX_LINE, MAX_SIZE, IPAddress, ProxyHeader, ProxyHeaderError, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
V4 = bytes((203, 0, 113, 5, 192, 0, 2, 1, 0xC0, 0, 2, 0x4B))
"""The addresses of a header: a client at 203.0.113.5."""
V6 = ipaddress.IPv6Address("2001:db8::5").packed + ipaddress.IPv6Address("2001:db8::1").packed + b"\xc0\0\2\x4b"
CLIENT4, CLIENT6 = ipaddress.ip_address("203.0.113.5"), ipaddress.ip_address("2001:db8::5")


def octets(command: int, family: int, rest: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def slow_crc32c(data: bytes) -> int:
    """CRC32C as it is defined, bit by bit."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


def with_checksum(before: bytes, after: bytes = b"") -> bytes:
    """A header over TCP4 that holds its checksum between two TLVs."""
    blank = octets(PROXY, TCP4, V4 + before + tlv(3, bytes(4)) + after)
    place = len(SIGNATURE) + 4 + len(V4) + len(before) + 3
    return blank[:place] + struct.pack("!I", slow_crc32c(blank)) + blank[place + 4 :]


GOOD: dict[bytes, IPAddress | None] = {
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\r\n": CLIENT4,
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": ipaddress.ip_address("255.255.255.255"),
    b"PROXY TCP4 203.0.113.5 192.0.2.1 0 1\r\n": CLIENT4,
    b"PROXY TCP6 2001:db8::5 2001:DB8::1 49152 587\r\n": CLIENT6,
    b"PROXY TCP6 ::ffff:203.0.113.5 ::1 49152 587\r\n": ipaddress.ip_address("::ffff:203.0.113.5"),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n": None,
    b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 16) + b"\r\n": None,
    octets(PROXY, TCP4, V4): CLIENT4,
    octets(PROXY, TCP6, V6): CLIENT6,
    octets(PROXY, UNIX, b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")): None,
    octets(PROXY, 0, b""): None,
    octets(PROXY, 0, b"anything"): None,
    octets(LOCAL, 0, b""): None,
    octets(LOCAL, TCP4, V4): None,
    octets(LOCAL, TCP4, b""): None,
    octets(LOCAL, 0xFF, b"\4\0"): None,
    octets(
        PROXY, TCP4, V4 + tlv(4, b"") + tlv(0xEA, b"\1vpce-1") + tlv(0x20, b"\7\0\0\0\0" + tlv(0x21, b"T"))
    ): CLIENT4,
    octets(PROXY, TCP4, V4 + tlv(4, bytes(MAX_SIZE - 31))): CLIENT4,
    with_checksum(b""): CLIENT4,
    with_checksum(tlv(1, b"smtp"), tlv(4, b"padding")): CLIENT4,
}
"""Headers, and the clients that they name."""

BAD = {
    b"EHLO client.example\r\n": "none, but 'EHLO cli'",
    b"\x16\x03\x01\x02\0\1\0\1\xfc": "none, but '\x16\x03\x01\x02\0\1\0\1'",
    b"proxy TCP4 203.0.113.5 192.0.2.1 49152 587\r\n": "none, but 'proxy TC'",
    b"PROXYTCP4": "none, but 'PROXYTCP'",
    b" PROXY": "none, but ' PROXY'",
    b"\r\n\r\n\r\n": "none, but '\r\n\r\n\r\n'",
    SIGNATURE[:-1] + b"\r": "none, but",
    b"PROXY \r\n": "malformed: 'PROXY '",
    b"PROXY  TCP4 203.0.113.5 192.0.2.1 49152 587\r\n": "malformed",
    b"PROXY TCP4\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587 \r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587 1\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5  192.0.2.1 49152 587\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\r\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5\r192.0.2.1 49152 587\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 0587\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 +587\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 5_87\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\t\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 587\xa0\r\n": "malformed",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 65536 587\r\n": "bad port",
    b"PROXY TCP4 203.0.113.5 192.0.2.1 1 99999\r\n": "bad port",
    b"PROXY TCP4 203.0.113.256 192.0.2.1 1 2\r\n": "bad address",
    b"PROXY TCP4 203.0.113.05 192.0.2.1 1 2\r\n": "bad address",
    b"PROXY TCP4 203.0.113.5 192.0.2 1 2\r\n": "bad address",
    b"PROXY TCP4 2001:db8::5 2001:db8::1 1 2\r\n": "bad address",
    b"PROXY TCP6 203.0.113.5 192.0.2.1 1 2\r\n": "bad address",
    b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n": "malformed",
    b"PROXY TCP6 2001:db8:::5 ::1 1 2\r\n": "bad address",
    b"PROXY TCP5 203.0.113.5 192.0.2.1 1 2\r\n": "malformed",
    b"PROXY TCPx4 203.0.113.5 192.0.2.1 1 2\r\n": "malformed",
    b"PROXY UDP4 203.0.113.5 192.0.2.1 1 2\r\n": "malformed",
    b"PROXY UNKNOWNS\r\n": "malformed",
    b"PROXY UNKNOWN\n": "malformed",
    b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 15) + b"\r\n": "no end of line in 107 octets",
    b"PROXY " + b"x" * MAX_LINE: "no end of line in 107 octets",
    octets(0x11, TCP4, V4): "unknown version and command 0x11",
    octets(0x31, TCP4, V4): "unknown version and command 0x31",
    octets(0x22, TCP4, V4): "unknown version and command 0x22",
    octets(PROXY, 0x01, b""): "no family and transport of a stream: 0x01",
    octets(PROXY, 0x12, V4): "no family and transport of a stream: 0x12",
    octets(PROXY, 0x22, V6): "no family and transport of a stream: 0x22",
    octets(PROXY, 0x41, V6): "no family and transport of a stream: 0x41",
    octets(PROXY, TCP4, V4[:-1]): "addresses cut short at 11 octets",
    octets(PROXY, TCP6, V4): "addresses cut short at 12 octets",
    octets(PROXY, UNIX, bytes(215)): "addresses cut short at 215 octets",
    octets(PROXY, TCP4, V4 + b"\4"): "TLV 0x04 cut short",
    octets(PROXY, TCP4, V4 + b"\4\0"): "TLV 0x04 cut short",
    octets(PROXY, TCP4, V4 + b"\4\0\1"): "TLV 0x04 cut short",
    octets(PROXY, TCP4, V4 + tlv(4, b"") + b"\xea\xff\xff" + bytes(9)): "TLV 0xea cut short",
    octets(PROXY, TCP4, V4 + tlv(3, bytes(4))): "wrong checksum",
    octets(PROXY, TCP4, V4 + tlv(3, bytes(3))): "more than one checksum",
    with_checksum(b"")[:-1] + b"\0": "wrong checksum",
    with_checksum(b"", tlv(3, bytes(4))): "more than one checksum",
    octets(PROXY, TCP4, V4 + tlv(4, bytes(MAX_SIZE - 30))): "4097 octets long",
    octets(LOCAL, 0, bytes(0xFFFF)): "65551 octets long",
}
"""What is no header, and why."""


def name(value: object) -> str:
    return repr(value)[2:60] if isinstance(value, bytes) else ""


@pytest.mark.parametrize(("header", "client"), GOOD.items(), ids=name)
def test_headers(header: bytes, client: IPAddress | None) -> None:
    expected = ProxyHeader(len(header), client)
    assert parse(header) == expected
    for behind in (b"EHLO client.example\r\n", b"\x16\x03\x01", b"\n", header, bytes(1 << 17)):
        assert parse(header + behind) == expected


@pytest.mark.parametrize("header", GOOD, ids=name)
def test_a_part_of_a_header_is_none_yet(header: bytes) -> None:
    assert [parse(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(("data", "reason"), BAD.items(), ids=name)
def test_what_is_no_header(data: bytes, reason: str) -> None:
    with pytest.raises(ProxyHeaderError) as caught:
        parse(data)
    assert str(caught.value).startswith(reason)
    with pytest.raises(ProxyHeaderError):
        parse(data + b"\r\n" * 100)


def test_what_is_no_header_is_none_from_the_first_octet_on_that_differs() -> None:
    for wrong in (b"E", b"\x16", b"\n", b"PROXZ", b"\r\r", SIGNATURE[:-1] + b"\r", SIGNATURE + b"\x11\0\0\0"):
        with pytest.raises(ProxyHeaderError):
            parse(wrong)
    assert parse(octets(LOCAL, 0, b"")[:-1]) is None


def test_a_client_that_is_no_balancer_has_no_password_of_its_quoted() -> None:
    for first in (b"AUTH PLAIN AHRlc3QAc2VzYW1l\r\n", b"HELO x\r\nAUTH PLAIN AHRlc3QAc2VzYW1l\r\n"):
        with pytest.raises(ProxyHeaderError) as caught:
            parse(first)
        assert "AH" not in str(caught.value)


def judge(data: bytes) -> ProxyHeader | str | None:
    try:
        return parse(data)
    except ProxyHeaderError as error:
        return str(error)


hostile = st.lists(
    st.sampled_from(
        [
            b"PROXY ",
            b"TCP4",
            b"TCP6",
            b"UNKNOWN",
            b" ",
            b"\r\n",
            b"\n",
            b"\r",
            b"1",
            b"::1",
            b"127.0.0.1",
            b"65535",
            b"\0",
        ]
    ),
    max_size=20,
).map(b"".join)
binary = st.builds(
    lambda command, family, length, rest: SIGNATURE + struct.pack("!BBH", command, family, length) + rest,
    st.sampled_from([LOCAL, PROXY, 0, 0xFF]),
    st.sampled_from([0, TCP4, TCP6, UNIX, 0xFF]),
    st.integers(0, 0xFFFF) | st.integers(0, 60),
    st.binary(max_size=300) | st.binary(max_size=60).map(lambda rest: V4 + rest),
)
anything = st.one_of(
    hostile,
    hostile.map(b"PROXY ".__add__),
    binary,
    st.binary(max_size=200),
    st.binary(max_size=99).map(SIGNATURE.__add__),
    st.sampled_from(list(GOOD)),
    st.sampled_from(list(BAD)),
)


@given(anything)
@example(SIGNATURE)
def test_once_it_has_decided_nothing_that_follows_changes_it(data: bytes) -> None:
    """So it doesn't matter how the octets are cut into packets, and nothing but the header is looked at."""
    verdicts = [judge(data[:size]) for size in range(len(data) + 1)]
    decided = [verdict for verdict in verdicts if verdict is not None]
    assert verdicts[: len(verdicts) - len(decided)] == [None] * (len(verdicts) - len(decided))
    if decided and isinstance(decided[0], ProxyHeader):
        assert decided == [decided[0]] * len(decided)
        assert decided[0].size == len(verdicts) - len(decided)
    else:
        assert all(isinstance(verdict, str) for verdict in decided)


@given(anything, st.binary(min_size=1, max_size=1))
def test_it_is_decided_within_bounds(data: bytes, filling: bytes) -> None:
    assert judge(data.ljust(MAX_SIZE, filling)) is not None


ports = st.integers(0, 0xFFFF)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, IPAddress]:
    """A header that names a client, and where that is."""
    version = draw(st.sampled_from([4, 6]))
    client, ours = draw(st.ip_addresses(v=version)), draw(st.ip_addresses(v=version))
    if draw(st.booleans()):
        return f"PROXY TCP{version} {client} {ours} {draw(ports)} {draw(ports)}\r\n".encode(), client
    values = draw(
        st.lists(st.builds(tlv, st.sampled_from([1, 2, 4, 5, 0x20, 0x30, 0xE0, 0xFF]), st.binary(min_size=5)))
    )
    addresses = client.packed + ours.packed + struct.pack("!HH", draw(ports), draw(ports))
    return octets(PROXY, TCP4 if version == 4 else TCP6, addresses + b"".join(values)), client


@given(headers(), st.binary(max_size=20))
def test_whatever_a_balancer_writes_is_read_and_another_parser_reads_the_same(
    written: tuple[bytes, IPAddress], behind: bytes
) -> None:
    header, client = written
    assert parse(header + behind) == ProxyHeader(len(header), client)
    assert asyncio.run(ask_aiosmtpd(header + behind)) == (client, behind)


async def ask_aiosmtpd(data: bytes) -> tuple[object, bytes]:
    """The client that aiosmtpd's parser sees, and what it leaves unread."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    header = await get_proxy(reader)
    assert header.valid
    return header.src_addr, await reader.read()


@given(st.binary(max_size=40), st.integers(0, 7))
def test_any_wrong_bit_is_seen_where_there_is_a_checksum(value: bytes, bit: int) -> None:
    good = with_checksum(tlv(5, value), tlv(4, b"12"))
    assert isinstance(judge(good), ProxyHeader)
    for place in range(len(SIGNATURE) + 4, len(SIGNATURE) + 4 + len(V4)):
        damaged = bytearray(good)
        damaged[place] ^= 1 << bit
        assert judge(bytes(damaged)) == "wrong checksum"


def test_the_checksum_of_the_standard() -> None:
    """RFC 3720 appendix B.4, and the check value of every catalogue of CRCs."""
    assert module._crc32c(bytes(32)) == 0x8A9136AA
    assert module._crc32c(b"\xff" * 32) == 0x62A8AB43
    assert module._crc32c(bytes(range(32))) == 0x46DD794E
    assert module._crc32c(b"123456789") == 0xE3069283
