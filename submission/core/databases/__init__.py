"""Files of keys and values as C libraries write them, as bytes: octets in, entries out, and for one format back.

Cyrus SASL keeps its accounts in such a file, sasldb2, in whatever format it was built for: berkeley_db.py, gdbm.py.
formats.py tells them apart. A whole file is read or written at once: it is small, and a password file that can be
checked from end to end is worth more than one that can be searched.

A file may be damaged, hostile, or half of a change that another program is making just now. So every offset, count and
size is checked, nothing is followed twice, and what comes out is never larger than what went in.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class DatabaseError(ValueError):
    """The octets aren't a whole file of the format. The text says where and holds nothing of the content."""


@dataclass(frozen=True, slots=True)
class Database:
    """What a file holds."""

    entries: dict[bytes, bytes] = field(repr=False)
    is_complete: bool = True
    """Whether it holds as many as it says. If not, somebody may be changing it, or a change was cut off."""
