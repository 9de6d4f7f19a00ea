"""Which format a file of keys and values is in, and what to do about those that aren't read here."""

from __future__ import annotations

from submission.core.databases import Database, DatabaseError, berkeley_db, gdbm

SNIFFED = 64
"""Octets from a file's beginning that are enough for `name_format`."""

BERKELEY_DB_HASH = "Berkeley DB Hash"
GDBM = "GDBM"

_FORMATS: tuple[tuple[int, str, tuple[int, ...], str], ...] = (
    (berkeley_db.MAGIC_OFFSET, BERKELEY_DB_HASH, (berkeley_db.MAGIC,), ""),
    (12, "Berkeley DB Btree", (0x053162,), "db_dump FILE | db_load -t hash NEW converts it"),
    (12, "Berkeley DB Queue", (0x042253,), "it can't hold passwords"),
    (12, "Berkeley DB Heap", (0x074582,), "it can't hold passwords"),
    (0, "Berkeley DB 1.85 Hash", (0x061561,), "db_dump185 FILE | db_load -t hash NEW converts it"),
    (0, "Berkeley DB 1.85 Btree", (0x053162,), "db_dump185 FILE | db_load -t hash NEW converts it"),
    (0, GDBM, gdbm.MAGICS, ""),
    (0, "GDBM of 32 bits or before 1.9", gdbm.OTHER_MAGICS, "gdbm_dump FILE | gdbm_load - NEW converts it"),
    (16, "LMDB", (0xBEEFC0DE,), "sasldblistusers2 -f FILE lists its names, mdb_dump -n FILE shows its passwords"),
    (0, "SQLite", (int.from_bytes(b"SQLi", "little"),), "if it is a store of ours, call it sqlite:FILE"),
)
"""Offset and values of the number, in either byte order, that tells each format; what to do where it isn't read."""


def name_format(data: bytes) -> str | None:
    """The format of a file that begins so, None for one that isn't known."""
    name, _ = _find(data)
    return name


def read(data: bytes) -> Database:
    """All entries of a file. Raises DatabaseError, which says what may be done where the format isn't read here."""
    name, advice = _find(data)
    if name == BERKELEY_DB_HASH:
        return berkeley_db.read(data)
    if name == GDBM:
        return gdbm.read(data)
    if name is None:
        raise DatabaseError("is no database of a format that is known here; sasldblistusers2 -f FILE may know it")
    raise DatabaseError(f"is in the format {name}, which is not read here; {advice}")


def _find(data: bytes) -> tuple[str | None, str]:
    for offset, name, magics, advice in _FORMATS:
        field = data[offset : offset + 4]
        if int.from_bytes(field, "little") in magics or int.from_bytes(field, "big") in magics:
            return name, advice
    return None, ""
