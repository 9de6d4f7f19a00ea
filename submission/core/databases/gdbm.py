"""GDBM files, as Cyrus SASL writes them where a distribution has done with Berkeley DB (Fedora, RHEL 9).

Read is the form that 64-bit machines have written since GDBM 1.9, in either byte order:

    header          at 0: magic, block size, where the directory is and its size, bits, size of a bucket, places in it
    directory       where each bucket is; several entries in a row may name the same one
    bucket          count of entries, and for each place: hash, first octets of the key, where the entry is, its sizes
    entry           key and value, one behind the other

A place that isn't used has the hash -1. The layout is that of gdbmdefs.h; to write is left to GDBM.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from submission.core.databases import Database, DatabaseError

MAGICS = (0x13579ACF, 0x13579AD1)
OTHER_MAGICS = (0x13579ACD, 0x13579ACE, 0x13579AD0)
"""Of 32-bit machines and of GDBM before 1.9."""

_HEADER = "2iq4i"
_COUNT_OFFSET, _PLACES_OFFSET = 108, 112
_PLACE = "i4xq2i"
_PLACE_SIZE = struct.calcsize(f"={_PLACE}")
_FREE = -1


def read(data: bytes) -> Database:
    """All entries of a file. Raises DatabaseError."""
    file = _File(data, "<" if int.from_bytes(data[:4], "little") in MAGICS else ">")
    _, _, directory, directory_size, _, bucket_size, places = file.unpack(_HEADER, 0)
    if directory_size <= 0 or places * _PLACE_SIZE > bucket_size - _PLACES_OFFSET:
        raise DatabaseError("octet 0: the sizes in the header don't fit each other")
    entries: dict[bytes, bytes] = {}
    expected = 0
    for bucket in sorted(set(file.unpack(f"{directory_size // 8}q", directory))):
        (count,) = file.unpack("i", bucket + _COUNT_OFFSET)
        expected += count
        for key, value in _read_bucket(file, bucket, places):
            if key in entries:
                raise DatabaseError(f"octet {bucket}: the bucket holds a key that was there before")
            entries[key] = value
    return Database(entries, is_complete=len(entries) == expected)


def _read_bucket(file: _File, bucket: int, places: int) -> Iterator[tuple[bytes, bytes]]:
    for place in struct.iter_unpack(f"{file.order}{_PLACE}", file.take(bucket + _PLACES_OFFSET, places * _PLACE_SIZE)):
        hashed, address, key_size, value_size = place
        if hashed != _FREE:
            yield file.take(address, key_size), file.take(address + key_size, value_size)


class _File:
    """Octets that are taken out by offset and size, and not more of them in all than there are.

    Each octet belongs to one thing only, so a whole file never gives more than itself; a hostile one could name the
    same octets again and again.
    """

    def __init__(self, data: bytes, order: str) -> None:
        self.order = order
        self._data = data
        self._left = len(data)

    def take(self, offset: int, size: int) -> bytes:
        if not (offset >= 0 and 0 <= size <= self._left and offset + size <= len(self._data)):
            raise DatabaseError(f"octet {offset}: there are no {size} octets for what should be there")
        self._left -= size
        return self._data[offset : offset + size]

    def unpack(self, form: str, offset: int) -> tuple[int, ...]:
        structure = struct.Struct(self.order + form)
        return structure.unpack(self.take(offset, structure.size))
