"""From a line that a POP or IMAP server logs to the login that it tells of: the evidence of POP-before-SMTP.

A line makes somebody's address one that may send, so it is evidence, and most of it was chosen by strangers: user
names, the names that DNS gives to addresses, Message-IDs. The rules that keep it evidence:

- The header is parsed first (header.py, journal.py). Only the exact name of a program chooses a format.
- The message is matched whole, never searched. The user's name is taken greedily, what follows it from the right, field
  by field with the narrowest grammar: the last fields are the server's own words.
- Where the address stands on another line than the login, both are joined by process (sessions.py), and dropped when in
  doubt.
- An address is parsed strictly and never resolved (address.py).

A server's family has a file in formats/, which says where the evidence stands and why it is some; registry.py lists
them. reader.py puts it together:

    Reader(formats, patterns, proxies).feed(line, now) -> PopLogin | None

docs/pop-before-smtp.md tells admins what can be forged in which format.
"""

from __future__ import annotations

import datetime
from typing import Literal, NamedTuple, TypeAlias

from submission.core.poplog.address import Address

Protocol: TypeAlias = Literal["pop3", "imap"]


class PopLogin(NamedTuple):
    """Somebody has proved to a POP or IMAP server who he is."""

    user: str
    """The name as it was logged: servers cut and mask it. What is no UTF-8 is written as `\\xNN`."""
    address: Address
    """The client's own: IPv4 where it was mapped into IPv6. An IPv6 address stands for itself, not for its network."""
    proto: Protocol
    server: str
    """The name of the format, or of the admin's own pattern."""
    time: datetime.datetime | None
    """When the log says it was; naive where the log leaves the time zone out, which means the local one."""
