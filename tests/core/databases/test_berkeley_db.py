"""Berkeley DB Hash octet by octet; tests/peers/test_sasldb2.py has libdb's own opinion."""

import base64
import struct
import time
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from submission.core.databases import Database, DatabaseError
from submission.core.databases.berkeley_db import MAGIC, PAGE_SIZE, read, write

CHECKSUMMED = zlib.decompress(
    base64.b85decode(
        "c-muN00Txa$tIczBsm!vm>3v1AVMHf1~g!%s>s0bkAb0HVy>RAB3zgeZVm+S#%1(g#3DWl1_)eh@F~L~g&IeEjGhd<"
        "3=Fy-b0#ysWqinZhVcaBCdRdlGZ?2Z)-zT!rZFZl`U2IA0;CWuD7R!RElw@6WGG?)(E*9Y#pU@$DL@Hxu!K3Lgeh3U"
        "6jQ<&EMbf(VQ2uBF*Lv;1(89MVDA4L40Ikd0|V<F#-z-2G-;&xXM+2MhcSbJmytm+b{9M2YsTk{7lA2YJL6`?d5p6d"
        "TNxV}bAa-M^FPCA{zpk37U1}?z>GLEu!I?=gb7%}1XIEYEMbHt4L}otA*K{0;TYhKe`Y9~g@KXr0RuY&1G|x%V8tjH"
        ")&ME~S)gfv6&C*$t761PLukarKPxm1u)*U0^3`pUqaie6;-3wg20%O;Q2gtbNPM7z*`r_(0|0_DTc!"
    )
)
"""libdb's: big-endian, pages of 512 octets with checksums, 12 users and one whose password has 1500 octets."""

USERS = {f"user{number}\0r\0userPassword".encode(): f"pw{number}".encode() for number in range(12)}
BIG = {b"big\0r\0userPassword": b"x" * 1500}

KEYS = st.binary(max_size=40) | st.integers(0, 3000).map(lambda size: b"k" * size)
VALUES = st.binary(max_size=40) | st.integers(0, 10_000).map(lambda size: b"v" * size)
ENTRIES = st.dictionaries(KEYS, VALUES, max_size=60)


def changed(data: bytes, page: int, offset: int, octets: bytes) -> bytes:
    position = page * PAGE_SIZE + offset
    return data[:position] + octets + data[position + len(octets) :]


def u16(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


@given(ENTRIES)
def test_what_is_written_is_read(entries: dict[bytes, bytes]) -> None:
    assert read(write(entries)) == Database(entries, is_complete=True)


def test_five_thousand_accounts_take_little_time() -> None:
    entries = {f"user{number}\0example.com\0userPassword".encode(): b"password" for number in range(5000)}
    start = time.process_time()
    assert read(write(entries)).entries == entries
    assert time.process_time() - start < 1


def test_a_file_of_libdb_s_in_the_other_byte_order_with_checksums() -> None:
    assert read(CHECKSUMMED) == Database(USERS | BIG, is_complete=True)


@pytest.mark.parametrize("version", [8, 10])
def test_other_versions(version: int) -> None:
    assert read(changed(write(USERS), 0, 16, u32(version))).entries == USERS


def test_unsorted_pages() -> None:
    data = write(USERS)
    for page in (1, 2):
        data = changed(data, page, 25, b"\2")
    assert read(data).entries == USERS


def test_a_count_that_is_not_that_of_the_entries_is_told() -> None:
    assert not read(changed(write(USERS), 0, 88, u32(13))).is_complete


SINGLE = write({b"key": b"value"})
SINGLE_PAGE = next(page for page in (1, 2) if b"value" in SINGLE[page * PAGE_SIZE : (page + 1) * PAGE_SIZE])
BIG_ONE = write({b"key": b"v" * 5000})
BIG_PAGE = next(page for page in (1, 2) if b"key" in BIG_ONE[page * PAGE_SIZE : (page + 1) * PAGE_SIZE])
OFF_PAGE = BIG_ONE.index(b"key") - 1 - 12 - BIG_PAGE * PAGE_SIZE


def test_the_pages_are_where_the_tests_below_believe_them() -> None:
    assert BIG_ONE[BIG_PAGE * PAGE_SIZE + OFF_PAGE :][:12] == b"\3\0\0\0" + u32(3, 5000)
    assert len(BIG_ONE) == 5 * PAGE_SIZE


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "page 0: is cut off"),
        (SINGLE[:511], "page 0: is cut off"),
        (SINGLE[:512], "page 0: is cut off"),
        (SINGLE[:-1], "page 2: is cut off"),
        (changed(SINGLE, 0, 12, u32(MAGIC + 1)), "page 0: is no meta page"),
        (changed(SINGLE, 0, 25, b"\x09"), "page 0: is no meta page"),
        (changed(SINGLE, 0, 16, u32(7)), "version 7, where 8 to 10 are known"),
        (changed(SINGLE, 0, 24, b"\1"), "page 0: the file is encrypted"),
        (changed(SINGLE, 0, 36, u32(2)), "page 0: the entries are spread over several files"),
        (changed(SINGLE, 0, 20, u32(0)), "page 0: 0 is no size of a page"),
        (changed(SINGLE, 0, 20, u32(4097)), "page 0: 4097 is no size of a page"),
        (changed(SINGLE, 0, 32, u32(3)), "page 3: is cut off"),
        (changed(SINGLE, 0, 32, u32(0xFFFFFFFF)), "page 3: is cut off"),
        (changed(SINGLE, SINGLE_PAGE, 25, b"\5"), "is of a type, 5,"),
        (changed(SINGLE, SINGLE_PAGE, 8, u32(77)), f"page {SINGLE_PAGE}: calls itself page 77"),
        (changed(SINGLE, SINGLE_PAGE, 20, u16(1)), "holds a key without a value"),
        (changed(SINGLE, SINGLE_PAGE, 20, u16(65534)), "can't hold 65534 items"),
        (changed(SINGLE, SINGLE_PAGE, 26, u16(4096)), "an item lies outside of its place, at 4096"),
        (changed(SINGLE, SINGLE_PAGE, 26, u16(29)), "an item lies outside of its place, at 29"),
        (changed(SINGLE, SINGLE_PAGE, 28, u16(4095)), "an item lies outside of its place, at 4095"),
        (SINGLE.replace(b"\1value", b"\2value"), "an item of a type, 2,"),
        (SINGLE.replace(b"\1value", b"\3value"), "an item of a type, 3,"),
        (write({b"aaaa": b"1", b"aaab": b"2"}).replace(b"aaab", b"aaaa"), "holds a key that was there before"),
        (changed(BIG_ONE, BIG_PAGE, OFF_PAGE + 4, u32(0)), "page 0: is no overflow page"),
        (changed(BIG_ONE, BIG_PAGE, OFF_PAGE + 4, u32(5)), "page 5: is no overflow page"),
        (changed(BIG_ONE, BIG_PAGE, OFF_PAGE + 4, u32(BIG_PAGE)), f"page {BIG_PAGE}: is no overflow page"),
        (changed(BIG_ONE, BIG_PAGE, OFF_PAGE + 8, u32(5001)), "page 0: is no overflow page"),
        (changed(BIG_ONE, BIG_PAGE, OFF_PAGE + 8, u32(4999)), "page 4: can't hold 930 octets"),
        (changed(BIG_ONE, 3, 16, u32(3)), "page 3: is no overflow page, or that of another"),
        (changed(BIG_ONE, 3, 22, u16(0)), "page 3: can't hold 0 octets"),
        (changed(BIG_ONE, 3, 22, u16(4071)), "page 3: can't hold 4071 octets"),
    ],
)
def test_damage_is_told_with_its_page(data: bytes, complaint: str) -> None:
    with pytest.raises(DatabaseError, match=complaint) as told:
        read(data)
    assert str(told.value).startswith("page ")


def survives(data: bytes) -> None:
    try:
        entries = read(data).entries
    except DatabaseError:
        return
    assert sum(map(len, entries)) + sum(map(len, entries.values())) <= len(data)


@given(st.binary(max_size=3000))
def test_any_octets_give_entries_or_the_one_error(data: bytes) -> None:
    survives(data)
    survives(changed(data.ljust(512, b"\0"), 0, 12, u32(MAGIC)))


@pytest.mark.parametrize(
    "data", [write(USERS | BIG | {b"k" * 9000: b"v" * 9000}), CHECKSUMMED], ids=["ours", "libdb's"]
)
def test_any_damage_to_a_good_file_gives_entries_or_the_one_error(data: bytes) -> None:
    @settings(max_examples=300)
    @given(
        st.lists(st.tuples(st.integers(0, len(data) - 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=5)
    )
    def damage(changes: list[tuple[int, bytes]]) -> None:
        damaged = bytearray(data)
        for position, octets in changes:
            damaged[position : position + len(octets)] = octets
        survives(bytes(damaged[: len(data)]))

    damage()


def each_octet_of_the_structure(data: bytes, page_size: int, header: int) -> list[int]:
    """Positions in the meta page, and in the headers and offsets of the others."""
    return [position for position in range(len(data)) if position < 100 or position % page_size < header + 20]


@pytest.mark.parametrize("turn", [lambda octet: octet ^ 0xFF, lambda octet: octet ^ 1, lambda _: 0], ids="frz")
def test_every_octet_of_the_structure_may_be_wrong(turn: Callable[[int], int]) -> None:
    for position in each_octet_of_the_structure(CHECKSUMMED, 512, 32):
        damaged = bytearray(CHECKSUMMED)
        damaged[position] = turn(damaged[position])
        survives(bytes(damaged))
