"""The parameters of MAIL and RCPT: `SIZE=1000 BODY=8BITMIME` (RFC 5321 section 4.1.2).

Keywords are compared without case; values are kept as they came, for the relay gets them unchanged. Which keywords a
command takes follows from the extensions that this session was offered, so a table names the extension beside each.
The value's inner form is the relay's matter, except where we act on it ourselves: SIZE and BODY.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from submission.core import replies
from submission.core.replies import Reply

MAX_COUNT = 16
"""Parameters of one command. All that are registered with IANA come to fewer."""

MAIL: Known = MappingProxyType(
    {
        b"SIZE": "SIZE",  # RFC 1870
        b"BODY": "8BITMIME",  # RFC 6152
        b"AUTH": "AUTH",  # RFC 4954 section 5
        b"RET": "DSN",  # RFC 3461 section 4
        b"ENVID": "DSN",
        b"SMTPUTF8": "SMTPUTF8",  # RFC 6531 section 3.4
        b"BY": "DELIVERBY",  # RFC 2852
    }
)
RCPT: Known = MappingProxyType({b"NOTIFY": "DSN", b"ORCPT": "DSN"})

_PARAMETER = re.compile(rb"(?P<keyword>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[!-<>-~]+))?")
_SIZE = re.compile(rb"[0-9]{1,20}")
_BODIES = (b"7BIT", b"8BITMIME")

Known = Mapping[bytes, str]
"""Keyword to the extension that brings it."""

Parameters = dict[bytes, bytes | None]
"""Upper-case keyword to value, None for a keyword that stands alone; in the order of the command."""


def parse(text: bytes, known: Known, offered: Collection[str]) -> Parameters | Reply:
    """Parse what follows the path. The reply that refuses it, if it is malformed, repeated, or not offered."""
    parameters: Parameters = {}
    if not text:
        return parameters
    words = text.split()
    if len(words) > MAX_COUNT:
        return replies.BAD_PARAMETERS
    for word in words:
        match = _PARAMETER.fullmatch(word)
        if match is None:
            return replies.BAD_PARAMETERS
        keyword = match["keyword"].upper()
        if keyword in parameters:
            return replies.BAD_PARAMETERS
        if known.get(keyword) not in offered:
            return replies.UNKNOWN_PARAMETER
        parameters[keyword] = match["value"]
    return _refuse_values(parameters) or parameters


def _refuse_values(parameters: Parameters) -> Reply | None:
    size = parameters.get(b"SIZE", b"0")
    if size is None or not _SIZE.fullmatch(size):
        return replies.BAD_PARAMETERS
    body = parameters.get(b"BODY", b"7BIT")
    if body is None or body.upper() not in _BODIES:
        return replies.BAD_PARAMETERS
    if parameters.get(b"SMTPUTF8") is not None:
        return replies.BAD_PARAMETERS
    return None


def declared_size(parameters: Parameters) -> int:
    """Octets that the client announced with SIZE=, 0 where it didn't."""
    return int(parameters.get(b"SIZE") or b"0")


def encode(parameters: Parameters) -> bytes:
    """The parameters for a command to the relay, each with a blank before it."""
    return b"".join(
        [b" " + keyword if value is None else b" " + keyword + b"=" + value for keyword, value in parameters.items()]
    )
