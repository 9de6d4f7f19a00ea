"""PLAIN (RFC 4616): one message, `[authzid] NUL authcid NUL password`.

An authorization identity has to be empty or the authentication identity itself, octet by octet: nobody here may act
for somebody else.
"""

from __future__ import annotations

from typing import ClassVar

from submission.core.sasl import AUTHZID_REFUSED, MALFORMED, Challenge, Failure, Step
from submission.core.sasl.decoding import decode_name
from submission.core.sasl.passwords import PasswordMechanism


class PlainMechanism(PasswordMechanism):
    """One PLAIN exchange."""

    NAME: ClassVar[str] = "PLAIN"

    def start(self, initial: bytes | None) -> Step:
        """Take the message, or ask for it with an empty challenge (RFC 4422 section 5)."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, data: bytes) -> Step:
        """Take the message apart, and ask the store."""
        parts = data.split(b"\0")
        if len(parts) != 3:
            return Failure(MALFORMED)
        authzid, authcid, password = parts
        name = decode_name(authcid)
        if name is None:
            return Failure(MALFORMED)
        if authzid not in (b"", authcid):
            return Failure(AUTHZID_REFUSED, name)
        return self._ask(name, password)
