"""The addresses of a From field (RFC 5322 section 3.6.2), parsed strictly: what isn't clear is no From.

    mailbox-list = mailbox *("," mailbox)       mailbox = [phrase] "<" addr-spec ">"  |  addr-spec

Comments may stand between any two tokens (section 3.2.2), groups may stand for a mailbox (RFC 6854). Source routes and
other obsolete forms are not taken: mail programs disagree about whom they mean, which is how a forged From gets past
a check.
"""

from __future__ import annotations

import re

MAX_FIELD = 4 * 1024
"""Octets of the field's value."""
MAX_ADDRESSES = 100
_MAX_NESTING = 20

_TOKEN = re.compile(
    rb"""(?P<space>[ \t]+|\r\n(?=[ \t]))
    |(?P<atom>[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\xff-]+)
    |(?P<quoted>"(?:[^"\\\r\n\0]|\r\n(?=[ \t])|\\[^\r\n\0])*")
    |(?P<literal>\[[A-Za-z0-9:.-]*\])
    |(?P<special>[<>@,:;])""",
    re.VERBOSE,
)
_COMMENT_STEP = re.compile(rb"(?:[^()\\\r\n\0]|\r\n(?=[ \t])|\\[^\r\n\0])*(?P<end>[()])")
_DOT_ATOM = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]+)*")


def parse_from(value: bytes) -> list[bytes] | None:
    """The addresses, `local@domain`, unfolded and quotes left out where they aren't needed; None where it isn't a From.

    `value` is what follows the colon, folded or not, without the CRLF at its end.
    """
    if len(value) > MAX_FIELD:
        return None
    tokens = _tokenize(value)
    if tokens is None:
        return None
    parser = _Parser(tokens)
    addresses = parser.mailboxes()
    return addresses if addresses and parser.is_at_end else None


def _tokenize(value: bytes) -> list[tuple[str, bytes]] | None:
    """Kind and octets of each token; blanks and comments left out."""
    tokens = []
    place = 0
    while place < len(value):
        if value[place : place + 1] == b"(":
            end = _skip_comment(value, place)
            if end is None:
                return None
            place = end
            continue
        match = _TOKEN.match(value, place)
        if match is None:
            return None
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append((match[0].decode("latin-1") if kind == "special" else kind, match[0]))
        place = match.end()
    return tokens


def _skip_comment(value: bytes, place: int) -> int | None:
    """Where a comment ends that begins at `place`; None where it doesn't, or is nested too deep."""
    depth = 1
    place += 1
    while depth:
        match = _COMMENT_STEP.match(value, place)
        if match is None:
            return None
        depth += 1 if match["end"] == b"(" else -1
        if depth > _MAX_NESTING:
            return None
        place = match.end()
    return place


class _Parser:
    """Goes through the tokens once."""

    def __init__(self, tokens: list[tuple[str, bytes]]) -> None:
        self._tokens = tokens
        self._next = 0

    @property
    def is_at_end(self) -> bool:
        return self._next == len(self._tokens)

    def mailboxes(self) -> list[bytes] | None:
        """A list of mailboxes and groups, none of its places empty."""
        addresses: list[bytes] = []
        while len(addresses) <= MAX_ADDRESSES:
            found = self._mailbox_or_group()
            if found is None:
                return None
            addresses += found
            if not self._take(","):
                return addresses
        return None

    def _mailbox_or_group(self) -> list[bytes] | None:
        start = self._next
        words = self._words()
        if self._take("<"):
            address = self._address()
            return [address] if address is not None and self._take(">") else None
        if words and self._take(":"):
            return self._members()
        self._next = start
        address = self._address()
        return [address] if address is not None else None

    def _members(self) -> list[bytes] | None:
        """What is in a group, which may be nothing; no further group."""
        members: list[bytes] = []
        while not self._take(";"):
            if members and not self._take(","):
                return None
            start = self._next
            self._words()
            if self._kind == ":":
                return None
            self._next = start
            found = self._mailbox_or_group()
            if found is None or len(members) > MAX_ADDRESSES:
                return None
            members += found
        return members

    def _address(self) -> bytes | None:
        """One `local@domain`."""
        if self._kind not in ("atom", "quoted"):
            return None
        local = self._advance()
        if local.startswith(b'"'):
            local = local.replace(b"\r\n", b"")  # it may be folded, which means nothing (RFC 5322 section 3.2.2)
            plain = re.sub(rb"\\(.)", rb"\1", local[1:-1])
            local = plain if _DOT_ATOM.fullmatch(plain) else local
        elif not _DOT_ATOM.fullmatch(local):
            return None
        if not self._take("@") or self._kind not in ("atom", "literal"):
            return None
        domain = self._advance()
        if not domain.startswith(b"[") and not _DOT_ATOM.fullmatch(domain):
            return None
        return local + b"@" + domain

    def _words(self) -> bool:
        """Skip the words of a phrase; whether there were any."""
        start = self._next
        while self._kind in ("atom", "quoted"):
            self._next += 1
        return self._next > start

    @property
    def _kind(self) -> str:
        return self._tokens[self._next][0] if not self.is_at_end else ""

    def _advance(self) -> bytes:
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _take(self, kind: str) -> bool:
        if self._kind != kind:
            return False
        self._next += 1
        return True
