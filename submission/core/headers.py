"""The fields that we put on top of a message: Received (RFC 5321 section 4.4), and what it lacks (RFC 6409 section 8).

It says which host took the message, how (RFC 3848: ESMTPS under TLS, ESMTPSA after AUTH too; RFC 6531: UTF8SMTP) and
under which id our log has it. By default it says neither where the client is nor how it is called nor who it logged
in as: those are the sender's home and the half of a credential, and the recipients need neither. The log has them.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import NamedTuple

_NOT_IN_COMMENTS = re.compile(r"[^ -~]|[()\\]")
"""What a comment may not hold as it is (RFC 5322 section 3.2.2), or a header outside SMTPUTF8 at all."""


@dataclass(frozen=True, slots=True)
class Client:
    """What a Received field may tell of the client. `address` in the form of an address literal, `IPv6:` included.

    `user` is empty where nobody in particular is known, `via` where the user authenticated: else it is the word in our
    log for why the client was allowed to send.
    """

    hello: str
    address: str
    user: str = ""
    via: str = ""


class Hop(NamedTuple):
    """How a message came to us."""

    hostname: str
    extended: bool  # EHLO, not HELO
    tls: str  # such as "TLSv1.3", empty for a plain connection
    cipher: str
    authenticated: bool
    utf8: bool
    message_id: str  # in our log

    @property
    def protocol(self) -> str:
        """The word behind `with`, as registered with IANA (mail transmission types)."""
        if not self.extended:
            return "SMTP"
        return ("UTF8SMTP" if self.utf8 else "ESMTP") + ("S" if self.tls else "") + ("A" if self.authenticated else "")


def received(hop: Hop, when: datetime, client: Client | None = None) -> bytes:
    """The field with its CRLF, no line over 78 characters where the names allow it.

    `client` is None where the client is to stay hidden. Every value must be free of control characters: `hello` is
    the client's own word, checked when it said it.
    """
    source = ""
    if client is not None:
        known = [f"user {_NOT_IN_COMMENTS.sub('?', client.user)}"] if client.user else []
        known += [f"via {client.via}"] if client.via else []
        comment = f" ({' '.join(known)})" if known else ""
        source = f"from {client.hello} ({client.address}){comment}\r\n\t"
    tls = f" ({hop.tls} {hop.cipher})" if hop.tls else ""
    return (
        f"Received: {source}by {hop.hostname} with {hop.protocol}{tls}\r\n"
        f"\tid {hop.message_id}; {_date(when, when.utcoffset())}\r\n"
    ).encode()


def date(when: datetime) -> bytes:
    """The Date field of a message that has none, with its CRLF."""
    return f"Date: {_date(when, when.utcoffset())}\r\n".encode()


def message_id(hostname: str) -> bytes:
    """The Message-ID field of a message that has none, with its CRLF; like no other (RFC 5322 section 3.6.4)."""
    return f"Message-ID: <{secrets.token_hex(12)}@{hostname}>\r\n".encode()


@lru_cache(maxsize=1)  # many messages fall into one second; the same moment in two zones is equal, but not written so
def _date(when: datetime, _offset: timedelta | None) -> str:
    return format_datetime(when)
