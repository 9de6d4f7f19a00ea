"""CRAM-MD5 (RFC 2195): the client answers a challenge with `name SP hex(HMAC-MD5(password, challenge))`.

The password does not travel, but the store has to hold it in a form that can be read back. There is no initial
response. A name may hold blanks; the digest is 32 lower-case hexadecimal digits.
"""

from __future__ import annotations

import hmac
import re
from typing import ClassVar

from submission.core.sasl import (
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

_DIGEST = re.compile(rb"[0-9a-f]{32}")
_NOBODYS_SECRET = b"nobody's secret"
"""Keys the HMAC for an unknown login, so that it takes the time of a known one; no answer made with it succeeds."""


class CramMd5Mechanism:
    """One CRAM-MD5 exchange."""

    NAME: ClassVar[str] = "CRAM-MD5"
    SENDS_PASSWORD: ClassVar[bool] = False
    NEED: ClassVar[Need] = Need.SECRET

    def __init__(self, channel: Channel) -> None:
        self._challenge = b"<" + channel.nonce + b">"
        self._name: str | None = None
        self._digest = b""

    def start(self, initial: bytes | None) -> Step:
        """Send the challenge; whoever speaks before it can't have answered it."""
        return Challenge(self._challenge) if initial is None else Failure(MALFORMED)

    def respond(self, data: bytes) -> Step:
        """Take name and digest apart, and ask the store for the password."""
        user, _, digest = data.rpartition(b" ")
        name = decode_name(user)
        if name is None:
            return Failure(MALFORMED)
        if not _DIGEST.fullmatch(digest):
            return Failure(MALFORMED, name)
        self._name, self._digest = name, digest
        return FetchSecret(name)

    def resolve(self, answer: Answer) -> Step:
        """Compare the client's digest with the one that the login's password gives."""
        name, self._name = self._name, None
        if name is None:
            return Failure(MALFORMED)
        secret = answer if isinstance(answer, bytes) and answer else None
        expected = hmac.new(secret or _NOBODYS_SECRET, self._challenge, "md5").hexdigest().encode()
        is_equal = hmac.compare_digest(expected, self._digest)
        return Success(name) if is_equal and secret is not None else Failure(BAD_CREDENTIALS, name)
