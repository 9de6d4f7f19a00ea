import pytest

from submission.core.databases import DatabaseError, berkeley_db
from submission.core.databases.formats import name_format, read


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (berkeley_db.write({}), "Berkeley DB Hash"),
        (bytes(12) + b"\0\x06\x15\x61", "Berkeley DB Hash"),
        (bytes(12) + b"\x62\x31\x05\0", "Berkeley DB Btree"),
        (bytes(12) + b"\0\x05\x31\x62", "Berkeley DB Btree"),
        (bytes(12) + b"\x53\x22\x04\0", "Berkeley DB Queue"),
        (bytes(12) + b"\x82\x45\x07\0", "Berkeley DB Heap"),
        (b"\x61\x15\x06\0", "Berkeley DB 1.85 Hash"),
        (b"\0\x05\x31\x62", "Berkeley DB 1.85 Btree"),
        (b"\xcf\x9a\x57\x13", "GDBM"),
        (b"\x13\x57\x9a\xcf", "GDBM"),
        (b"\xce\x9a\x57\x13", "GDBM of 32 bits or before 1.9"),
        (bytes(16) + b"\xde\xc0\xef\xbe", "LMDB"),
        (b"SQLite format 3\0", "SQLite"),
        (b"", None),
        (bytes(64), None),
        (b"root:x:0:0:", None),
    ],
)
def test_a_format_is_known_by_its_number(data: bytes, name: str | None) -> None:
    assert name_format(data) == name


@pytest.mark.parametrize("data", [b"SQLite format 3\0", bytes(16) + b"\xde\xc0\xef\xbe", b"\x61\x15\x06\0"])
def test_what_is_not_read_is_told_with_what_to_do(data: bytes) -> None:
    with pytest.raises(DatabaseError, match=f"is in the format {name_format(data)}, which is not read here; [a-z]"):
        read(data)


def test_what_is_none_is_told() -> None:
    with pytest.raises(DatabaseError, match="is no database of a format that is known here"):
        read(b"root:x:0:0:")


def test_the_right_reader_is_asked() -> None:
    assert read(berkeley_db.write({b"key": b"value"})).entries == {b"key": b"value"}
    with pytest.raises(DatabaseError, match="octet 0: there are no 32 octets"):
        read(b"\xcf\x9a\x57\x13")
