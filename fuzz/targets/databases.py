"""A file of accounts, sasldb2 in whatever format: its entries or the one error, never more of them than the file has.

The error holds nothing of the content: no more than fixed words and numbers. Entries that were read can be written, and
are read again.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from submission.core.databases import DatabaseError, berkeley_db
from submission.core.databases.formats import name_format, read
from tests.core.databases import test_berkeley_db, test_gdbm

_COMPLAINT = re.compile(r"(page|octet) -?[0-9]+: [ -~]{1,200}|is (in the format|no database) [ -~]{1,200}")


def seeds() -> Iterator[bytes]:
    """Files of libdb, of GDBM, of ours, and the numbers that formats are told by."""
    yield test_berkeley_db.CHECKSUMMED
    yield test_gdbm.SAMPLE
    yield test_gdbm.SAMPLE[: test_gdbm.BUCKET + 1000]
    yield berkeley_db.write({b"alice\0example.com\0userPassword": b"sesame"})
    yield berkeley_db.write({b"bob\0example.com\0userPassword": b"x" * 5000})
    yield struct.pack("<3I", 0, 0, 0) + struct.pack("<I", 0x053162) + bytes(48)
    yield b"SQLite format 3\0"


def check(data: bytes) -> None:
    """Read a file, and write what was in it."""
    name_format(data)
    try:
        entries = read(data).entries
    except DatabaseError as error:
        assert _COMPLAINT.fullmatch(str(error)), str(error)
        return
    assert sum(map(len, entries)) + sum(map(len, entries.values())) <= len(data)
    assert berkeley_db.read(berkeley_db.write(entries)).entries == entries
