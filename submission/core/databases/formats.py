"""Which format a file of keys and values is in, and what to do about those that aren't read here."""

from __future__ import annotations

from submission.core.databases import Database, DatabaseError, berkeley_db

SNIFFED = 64
"""Octets from a file's beginning that are enough for `name_format`."""

BERKELEY_DB_HASH = "Berkeley DB Hash"

_FORMATS: tuple[tuple[int, str, tuple[int, ...]], ...] = (
    (berkeley_db.MAGIC_OFFSET, BERKELEY_DB_HASH, (berkeley_db.MAGIC,)),
    (12, "Berkeley DB Btree", (0x053162,)),
    (12, "Berkeley DB Queue", (0x042253,)),
    (12, "Berkeley DB Heap", (0x074582,)),
    (0, "Berkeley DB 1.85 Hash", (0x061561,)),
    (0, "Berkeley DB 1.85 Btree", (0x053162,)),
    (0, "GDBM", (0x13579ACD, 0x13579ACE, 0x13579ACF, 0x13579AD0, 0x13579AD1)),
    (16, "LMDB", (0xBEEFC0DE,)),
    (0, "SQLite", (int.from_bytes(b"SQLi", "little"),)),
)
"""Offset and values of the number, in either byte order, that tells each format."""


def name_format(data: bytes) -> str | None:
    """The format of a file that begins so, None for one that isn't known."""
    for offset, name, magics in _FORMATS:
        field = data[offset : offset + 4]
        if int.from_bytes(field, "little") in magics or int.from_bytes(field, "big") in magics:
            return name
    return None


def read(data: bytes) -> Database:
    """All entries of a file. Raises DatabaseError, which says what may be done where the format isn't read here."""
    name = name_format(data)
    if name == BERKELEY_DB_HASH:
        return berkeley_db.read(data)
    if name is None:
        raise DatabaseError("is no database of a format that is known here")
    raise DatabaseError(
        f"is in the format {name}, which is not read here: list its names by sasldblistusers2, and dump it with the"
        " tool of its library"
    )
