"""Names of people: logins (user@realm), mailboxes of the envelope (RFC 5321 section 4.1.2) and xtext (RFC 3461).

A login is not an address: user and realm are compared exactly as stored, a realm need not be a domain, and the
user part may hold an @ of its own (the last one separates the realm, as Cyrus SASL does it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

MAX_LOGIN = 255
"""Octets in each half of a login."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_XCHAR = re.compile(rb"[^!-*,-<>-~]")


@dataclass(frozen=True, slots=True)
class Login:
    """A name to authenticate with. Both halves are normalised text, never empty, without control characters."""

    user: str
    realm: str

    def __str__(self) -> str:
        return f"{self.user}@{self.realm}"

    @classmethod
    def parse(cls, text: str, default_realm: str) -> Login:
        """`user` or `user@realm` as typed by a person or sent by a client.

        Raises ValueError, whose text names no part of the input, where a half is empty, too long or holds
        control characters.
        """
        user, at, realm = text.rpartition("@")
        if not at:
            user, realm = text, default_realm
        for half in (user, realm):
            if not half:
                raise ValueError("user and realm must not be empty")
            if _CONTROLS.search(half):
                raise ValueError("user and realm must not hold control characters")
            if len(half.encode()) > MAX_LOGIN:
                raise ValueError(f"user and realm are limited to {MAX_LOGIN} octets each")
        return cls(user, realm)


MAX_PATH = 256
"""Octets of a path with its brackets (RFC 5321 section 4.5.3.1.3)."""

_ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]"
_LABEL = rb"[A-Za-z0-9_\x80-\xff]++(?:-++[A-Za-z0-9_\x80-\xff]++)*"
_LOCAL = rb'(?:%(atext)s++(?:\.%(atext)s++)*|"(?:[ !#-\[\]-~\x80-\xff]|\\[ -~])*")' % {b"atext": _ATEXT}
_DOMAIN = rb"(?:%(label)s(?:\.%(label)s)*\.?|\[[A-Za-z0-9:.-]+\])" % {b"label": _LABEL}
_MAILBOX = re.compile(rb"(?P<local>%(local)s)(?:@(?P<domain>%(domain)s))?" % {b"local": _LOCAL, b"domain": _DOMAIN})
_PATH = re.compile(rb' ?<(?P<path>(?:[^<>"\\]++|\\.|"(?:[^"\\]++|\\.)*")*)>(?: +(?P<rest>.*))?')
"""Possessive are single characters only: Python 3.11 before 3.11.5, which Debian 12 has, takes what a group began."""


class Mailbox(NamedTuple):
    """An address of the envelope, as the client wrote it: `text` is what goes on to the relay between `<` and `>`.

    `domain` is empty for an unqualified name (`<postmaster>`, `<root>`), which the relay completes as it sees fit,
    and for the null sender, whose `text` is empty too.
    """

    text: bytes
    local: bytes
    domain: bytes

    @property
    def is_ascii(self) -> bool:
        """Whether a relay without SMTPUTF8 can take it (RFC 6531)."""
        return self.text.isascii()

    def __str__(self) -> str:
        return self.text.decode("utf-8", "backslashreplace")


NULL = Mailbox(b"", b"", b"")
"""The sender of bounces and receipts, `MAIL FROM:<>` (RFC 5321 section 4.5.5)."""


def split_path(argument: bytes, prefix: bytes) -> tuple[bytes, bytes] | None:
    """Split `FROM:<path> parameters`: the octets between the brackets, and those of the parameters.

    `prefix` is `FROM:` or `TO:`. One blank before the bracket is let pass, as in `MAIL FROM: <a@b>`: half of the
    world's devices write it so. None where it is not of that form.
    """
    if argument[: len(prefix)].upper() != prefix:
        return None
    match = _PATH.fullmatch(argument, len(prefix))
    if match is None:
        return None
    path, rest = match.groups(b"")
    return (path, rest) if len(path) + 2 <= MAX_PATH else None


def parse_mailbox(path: bytes) -> Mailbox | None:
    """An address by the grammar of RFC 5321 section 4.1.2 and RFC 6531 section 3.3; None if it isn't one.

    Source routes (`@a,@b:c@d`) are none: they are obsolete and only ever a way around somebody's rules. Neither are
    control characters in a quoted string, nor those of Unicode (U+0080 to U+009F), which terminals obey too.
    """
    match = _MAILBOX.fullmatch(path)
    if match is None or not (path.isascii() or _is_plain_text(path)):
        return None
    local, domain = match.groups(b"")
    return Mailbox(path, local, domain)


def _is_plain_text(octets: bytes) -> bool:
    """Whether these are UTF-8, without control characters."""
    try:
        return not _CONTROLS.search(octets.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def encode_xtext(text: str) -> bytes:
    """`text` as xtext (RFC 3461 section 4), such as the value of MAIL's AUTH= (RFC 4954 section 5)."""
    return _NO_XCHAR.sub(lambda match: b"+%02X" % match[0][0], text.encode())
