"""DIGEST-MD5 (RFC 2831, made historic by RFC 6331): the client answers a challenge with a digest of everything in it.

    challenge   realm="example.com",nonce="...",qop="auth",charset=utf-8,algorithm=md5-sess
    response    username="alice",realm="example.com",nonce="...",cnonce="...",nc=00000001,qop=auth,
                digest-uri="smtp/mail.example.com",response=...,charset=utf-8
    challenge   rspauth=...                         answered by nothing

The password doesn't travel, but the store has to hold it in a form that can be read back. Of what the RFC allows this
is one round (`qop=auth`, no second login by the same nonce, no encryption of its own), in our one realm.

digest-uri has to name SMTP, and may name any host: clients put there what they were configured with, an address, an
alias or the name of a load balancer, and we can't know all of these. That a response is meant for us follows from the
nonce, which is ours and is good for one connection.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar

from submission.core.sasl import (
    AUTHZID_REFUSED,
    BAD_CREDENTIALS,
    MALFORMED,
    Answer,
    Challenge,
    Channel,
    Failure,
    FetchSecret,
    Need,
    Step,
    Success,
)
from submission.core.sasl.decoding import decode_name

MAX_MESSAGE = 4096
"""Octets of a response (RFC 2831 section 2.1.2)."""
MAX_DIRECTIVES = 32

_TOKEN = rb"[!#$%&'*+\-.0-9A-Z^_`a-z|~]+"
_BLANKS = rb"[ \t\r\n]*"
_QUOTED = rb'"((?:[^"\\\0]|\\[^\0])*)"'
_EQUALS = _BLANKS + rb"=" + _BLANKS
_DIRECTIVE = re.compile(
    _BLANKS
    + rb"(?:("
    + _TOKEN
    + rb")"
    + _EQUALS
    + rb"(?:"
    + _QUOTED
    + rb"|("
    + _TOKEN
    + rb"))"
    + _BLANKS
    + rb")?(?:,|\Z)"
)
"""One, or none between two commas, which the RFC allows."""
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_RESPONSE = re.compile(rb"[0-9a-f]{32}")
_NOBODYS_SECRET = "nobody's secret"  # noqa: S105
"""Takes an unknown login's place, so that it takes the time of a known one; nobody succeeds with it."""


class DigestMd5Mechanism:
    """One DIGEST-MD5 exchange."""

    NAME: ClassVar[str] = "DIGEST-MD5"
    SENDS_PASSWORD: ClassVar[bool] = False
    NEED: ClassVar[Need] = Need.SECRET
    SERVICE: ClassVar[bytes] = b"smtp"

    def __init__(self, channel: Channel) -> None:
        self._nonce = channel.nonce
        self._realm = channel.realm.encode()
        self._name: str | None = None
        self._said: Mapping[bytes, bytes] | None = None
        self._is_proved = False

    def start(self, initial: bytes | None) -> Step:
        """Send the challenge. An initial response would be a second login, which we don't offer."""
        if initial is not None:
            return Failure(MALFORMED)
        realm, nonce = _quote(self._realm), _quote(self._nonce)
        return Challenge(b'realm=%b,nonce=%b,qop="auth",charset=utf-8,algorithm=md5-sess' % (realm, nonce))

    def respond(self, data: bytes) -> Step:
        """Take the response apart, and ask the store for the password; or hear that the client believes us."""
        if self._name is not None:
            is_over = self._is_proved and not data
            self._is_proved = False
            return Success(self._name) if is_over else Failure(MALFORMED, self._name)
        said = parse(data)
        name = None if said is None else _decode_username(said)
        if said is None or name is None:
            return Failure(MALFORMED)
        self._name = name
        if not self._is_answer(said):
            return Failure(MALFORMED, name)
        if said.get(b"authzid", b"") not in (b"", said[b"username"]):
            return Failure(AUTHZID_REFUSED, name)
        self._said = said
        return FetchSecret(name)

    def resolve(self, answer: Answer) -> Step:
        """Compare the client's digest with the one that the password gives, and prove that we know it, too."""
        said, self._said = self._said, None
        if said is None or self._name is None:
            return Failure(MALFORMED, self._name or "")
        secret = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else ""
        key = _key(said, self._name, secret or _NOBODYS_SECRET)
        is_equal = hmac.compare_digest(_digest(key, said, b"AUTHENTICATE"), said[b"response"])
        if not is_equal or not secret:
            return Failure(BAD_CREDENTIALS, self._name)
        self._is_proved = True
        return Challenge(b"rspauth=" + _digest(key, said, b""))

    def _is_answer(self, said: Mapping[bytes, bytes]) -> bool:
        """Whether it has all that an answer to our challenge has to have."""
        return (
            said.get(b"nonce") == self._nonce
            and said.get(b"nc") == b"00000001"
            and said.get(b"qop", b"auth") == b"auth"
            and said.get(b"realm", b"") in (b"", self._realm)
            and said.get(b"charset", b"utf-8").lower() == b"utf-8"
            and bool(said.get(b"cnonce"))
            and said.get(b"digest-uri", b"").lower().startswith(self.SERVICE + b"/")
            and _RESPONSE.fullmatch(said.get(b"response", b"")) is not None
        )


def parse(data: bytes) -> Mapping[bytes, bytes] | None:
    """The directives of a message, names in lower case, quotes undone; None where it is none (RFC 2831 section 7.1)."""
    if len(data) > MAX_MESSAGE:
        return None
    found: dict[bytes, bytes] = {}
    place = 0
    for _ in range(MAX_DIRECTIVES):
        match = _DIRECTIVE.match(data, place)
        if match is None:
            return None
        place = match.end()
        if match[1] is not None:
            name = match[1].lower()
            if name in found:
                return None
            found[name] = _ESCAPED.sub(rb"\1", match[2]) if match[3] is None else match[3]
        if place == len(data):
            return found
    return None


def _quote(data: bytes) -> bytes:
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _decode_username(said: Mapping[bytes, bytes]) -> str | None:
    """The name: in UTF-8 where the client says so, else in ISO 8859-1 (RFC 2831 section 2.1.2)."""
    name = said.get(b"username", b"")
    return decode_name(name if b"charset" in said else name.decode("latin-1").encode())


def _key(said: Mapping[bytes, bytes], name: str, secret: str) -> bytes:
    """HEX(H(A1)), as RFC 2831 section 2.1.2.1 calls it."""
    user = b":".join((_encode(name), said.get(b"realm", b""), _encode(secret)))
    parts = [_md5(user), said[b"nonce"], said[b"cnonce"]]
    if authzid := said.get(b"authzid"):
        parts.append(authzid)
    return _md5(b":".join(parts)).hex().encode()


def _digest(key: bytes, said: Mapping[bytes, bytes], method: bytes) -> bytes:
    """The digest of an answer; without a method it is the server's."""
    uri = _md5(method + b":" + said[b"digest-uri"]).hex().encode()
    text = b":".join((key, said[b"nonce"], said[b"nc"], said[b"cnonce"], b"auth", uri))
    return _md5(text).hex().encode()


def _encode(text: str) -> bytes:
    """In ISO 8859-1 if that has all of its characters, whatever the client sent them in; else in UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
