"""Berkeley DB's access method Hash, versions 8 to 10, in either byte order.

A file is pages of one size. Page 0 is the meta page: the byte order (which its magic number tells), the page size, how
many buckets there are. Entries lie in buckets, chains of pages, by a hash of their keys:

    page header     26 octets; 32 where pages carry checksums
    offsets         one of 2 octets for each item: key, value, key, value, ...
    ...             free
    items           from the end of the page downwards, so each ends where the one before it begins

An item's first octet is its type: the octets themselves follow, or the number of the first page of a chain of overflow
pages and the length in all. Since version 9 the entries of a page are in order of their keys.

To read is to scan all pages of the right types: that needs neither hash nor chains, so a damaged file can send nobody
around in circles. To write is to lay out a new file: a power of two of buckets, bucket i on page i + 1, and behind
them whatever pages overflow. Checksums are not looked at, and none are written.

Offsets and constants are those of Berkeley DB's dbinc/db_page.h and hash/hash_func.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from submission.core.databases import Database, DatabaseError

MAGIC = 0x061561
MAGIC_OFFSET = 12
VERSIONS = range(8, 11)
PAGE_SIZES = tuple(1 << power for power in range(9, 17))

_META, _UNUSED, _UNSORTED, _OVERFLOW, _SORTED = 8, 0, 2, 7, 13  # types of pages
_KEYDATA, _OFFPAGE = 1, 3  # types of items
_HEADER, _HEADER_WITH_CHECKSUM = 26, 32
_META_SIZE = 512
_TYPE_OFFSET = 25
_CHECKSUMS = 1  # in the meta page's flags


def read(data: bytes) -> Database:
    """All entries of a file. Raises DatabaseError."""
    reader = _Reader(data, _Layout.parse(data))
    entries: dict[bytes, bytes] = {}
    for page, key, value in reader.entries():
        if key in entries:
            raise DatabaseError(f"page {page}: holds a key that was there before")
        entries[key] = value
    return Database(entries, is_complete=len(entries) == reader.layout.count)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the meta page tells of the others."""

    order: str  # "<" or ">", as in struct
    page_size: int
    header: int
    last_page: int
    count: int

    @classmethod
    def parse(cls, data: bytes) -> _Layout:
        if len(data) < _META_SIZE:
            raise DatabaseError("page 0: is cut off")
        order = "<" if int.from_bytes(data[MAGIC_OFFSET : MAGIC_OFFSET + 4], "little") == MAGIC else ">"
        magic, version, page_size, cipher, kind, flags = struct.unpack_from(f"{order}3I3B", data, MAGIC_OFFSET)
        last_page, partitions = struct.unpack_from(f"{order}2I", data, 32)
        (count,) = struct.unpack_from(f"{order}I", data, 88)
        if magic != MAGIC or kind != _META:
            raise DatabaseError("page 0: is no meta page of Berkeley DB Hash")
        if version not in VERSIONS:
            known = f"{VERSIONS[0]} to {VERSIONS[-1]}"
            raise DatabaseError(
                f"page 0: Berkeley DB Hash of version {version}, where {known} are known (see db_upgrade)"
            )
        if cipher:
            raise DatabaseError("page 0: the file is encrypted")
        if partitions:
            raise DatabaseError("page 0: the entries are spread over several files")
        if page_size not in PAGE_SIZES:
            raise DatabaseError(f"page 0: {page_size} is no size of a page")
        if len(data) < (last_page + 1) * page_size:
            raise DatabaseError(f"page {len(data) // page_size}: is cut off")
        header = _HEADER_WITH_CHECKSUM if flags & _CHECKSUMS else _HEADER
        return cls(order, page_size, header, last_page, count)


class _Reader:
    """Takes the pages of a file apart."""

    def __init__(self, data: bytes, layout: _Layout) -> None:
        self.layout = layout
        self._data = data
        self._page_header = struct.Struct(f"{layout.order}8x3I2H")  # number, previous, next, entries, offset
        self._off_page = struct.Struct(f"{layout.order}4x2I")  # page, length
        self._seen: set[int] = set()  # overflow pages

    def entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Page, key and value of each entry."""
        for number in range(1, self.layout.last_page + 1):
            kind = self._kind(number)
            if kind in (_UNSORTED, _SORTED):
                items = [self._content(number, item) for item in self._items(number)]
                yield from ((number, key, value) for key, value in zip(items[::2], items[1::2], strict=True))
            elif kind not in (_UNUSED, _OVERFLOW):
                raise DatabaseError(f"page {number}: is of a type, {kind}, that a table of passwords doesn't have")

    def _kind(self, number: int) -> int:
        return self._data[number * self.layout.page_size + _TYPE_OFFSET]

    def _header(self, number: int) -> tuple[int, int, int]:
        """Next page, entries and offset of a page; the latter two mean something else on an overflow page."""
        own, _, following, entries, offset = self._page_header.unpack_from(self._data, number * self.layout.page_size)
        if own != number:
            raise DatabaseError(f"page {number}: calls itself page {own}")
        return following, entries, offset

    def _items(self, number: int) -> Iterator[bytes]:
        """The items of a page, keys and values in turn."""
        _, entries, _ = self._header(number)
        begin = number * self.layout.page_size
        if entries % 2:
            raise DatabaseError(f"page {number}: holds a key without a value")
        lowest, end = self.layout.header + 2 * entries, self.layout.page_size
        if lowest > end:
            raise DatabaseError(f"page {number}: can't hold {entries} items")
        for offset in struct.unpack_from(f"{self.layout.order}{entries}H", self._data, begin + self.layout.header):
            if not lowest <= offset < end:
                raise DatabaseError(f"page {number}: an item lies outside of its place, at {offset}")
            yield self._data[begin + offset : begin + end]
            end = offset

    def _content(self, number: int, item: bytes) -> bytes:
        """What an item, never empty, of this page says, or refers to."""
        if item[0] == _KEYDATA:
            return item[1:]
        if item[0] != _OFFPAGE or len(item) != self._off_page.size:
            raise DatabaseError(f"page {number}: an item of a type, {item[0]}, that a table of passwords doesn't have")
        return b"".join(self._overflow(*self._off_page.unpack(item)))

    def _overflow(self, number: int, length: int) -> Iterator[bytes]:
        """What a chain of overflow pages holds. Each page is read once, so a file gives no more than its size."""
        while length:
            if not 1 <= number <= self.layout.last_page or self._kind(number) != _OVERFLOW or number in self._seen:
                raise DatabaseError(f"page {number}: is no overflow page, or that of another item")
            self._seen.add(number)
            following, _, here = self._header(number)
            if not 1 <= here <= min(length, self.layout.page_size - self.layout.header):
                raise DatabaseError(f"page {number}: can't hold {here} octets of an item")
            begin = number * self.layout.page_size + self.layout.header
            yield self._data[begin : begin + here]
            number, length = following, length - here


PAGE_SIZE = 4096
"""Of files that are written here, and of those that Cyrus SASL makes on usual file systems."""
_BIG = PAGE_SIZE // 4
"""Items over this size lie on overflow pages, so that a page has room for three at least."""
_CHECK_STRING = b"%$sniglet^&\0"
"""Its hash is in the file, so that whoever opens it knows whether he has the right function."""
_ORDER = "<"


def write(entries: Mapping[bytes, bytes]) -> bytes:
    """A file of version 9 that holds these entries; libdb reads and changes it on machines of either byte order."""
    size = sum(min(len(content), _BIG) + 3 for content in (*entries, *entries.values()))
    buckets = 2  # the fewest that there can be
    while buckets * PAGE_SIZE // 2 < size:
        buckets *= 2
    writer = _Writer(buckets)
    chosen: list[list[bytes]] = [[] for _ in range(buckets)]
    for key in sorted(entries):
        chosen[_hash(key) & (buckets - 1)].append(key)
    for bucket, keys in enumerate(chosen):
        writer.fill(bucket, [(writer.item(key), writer.item(entries[key])) for key in keys])
    return writer.finish(len(entries))


def _hash(key: bytes) -> int:
    """FNV-1 over 32 bits, from 0: __ham_func5 of libdb."""
    value = 0
    for octet in key:
        value = (value * 16777619 & 0xFFFFFFFF) ^ octet
    return value


class _Writer:
    """Lays out pages: the meta page, one for each bucket, and those that become necessary."""

    def __init__(self, buckets: int) -> None:
        self._buckets = buckets
        self._pages = [b""] * (1 + buckets)

    def item(self, content: bytes) -> bytes:
        """An item; the content of a big one goes onto pages of its own."""
        if len(content) <= _BIG:
            return bytes([_KEYDATA]) + content
        room = PAGE_SIZE - _HEADER
        first = number = len(self._pages)
        for begin in range(0, len(content), room):
            part = content[begin : begin + room]
            previous = number - 1 if begin else 0
            following = number + 1 if begin + room < len(content) else 0
            header = _header(number, previous, following, 1, len(part), _OVERFLOW)  # 1: it is referred to once
            self._pages.append((header + part).ljust(PAGE_SIZE, b"\0"))
            number += 1
        return struct.pack(f"{_ORDER}B3x2I", _OFFPAGE, first, len(content))

    def fill(self, bucket: int, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Put keys and values, as items in the order of the keys, into a bucket."""
        groups: list[list[bytes]] = [[]]
        free = room = PAGE_SIZE - _HEADER
        for pair in pairs:
            needed = sum(2 + len(item) for item in pair)
            if needed > free:
                groups.append([])
                free = room
            groups[-1] += pair
            free -= needed
        numbers = [0, bucket + 1, *range(len(self._pages), len(self._pages) + len(groups) - 1), 0]
        self._pages += [b""] * (len(groups) - 1)
        for items, previous, number, following in zip(groups, numbers, numbers[1:], numbers[2:], strict=False):
            self._pages[number] = _page(number, previous, following, items)

    def finish(self, count: int) -> bytes:
        """The file, which says that it has so many entries."""
        highest = self._buckets - 1
        doublings = self._buckets.bit_length()  # those that made 1, 2, 4 ... buckets; each begins 1 page further on
        meta = bytearray(PAGE_SIZE)
        header = (0, 1, 0, MAGIC, 9, PAGE_SIZE, 0, _META, 0, 0, 0, len(self._pages) - 1)
        struct.pack_into(f"{_ORDER}6I4B2I", meta, 0, *header)
        check = _hash(_CHECK_STRING)
        struct.pack_into(f"{_ORDER}6I", meta, 72, highest, highest, highest // 2, 0, count, check)
        struct.pack_into(f"{_ORDER}{doublings}I", meta, 96, *[1] * doublings)
        return b"".join([bytes(meta), *self._pages[1:]])


def _header(number: int, previous: int, following: int, entries: int, offset: int, kind: int) -> bytes:
    return struct.pack(f"{_ORDER}2I3I2H2B", 0, 1, number, previous, following, entries, offset, 0, kind)


def _page(number: int, previous: int, following: int, items: Sequence[bytes]) -> bytes:
    """A page of a bucket."""
    offsets = []
    end = PAGE_SIZE
    for item in items:
        end -= len(item)
        offsets.append(end)
    head = _header(number, previous, following, len(items), end, _SORTED)
    head += struct.pack(f"{_ORDER}{len(offsets)}H", *offsets)
    return head.ljust(end, b"\0") + b"".join(reversed(items))
