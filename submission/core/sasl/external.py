"""EXTERNAL (RFC 4422 appendix A): TLS has proved who the client is, by its certificate; one message, `[authzid]`.

Which user a certificate stands for is the shell's to know. An authorization identity has to be empty or that user's:
nobody here may act for somebody else.
"""

from __future__ import annotations

from typing import ClassVar

from submission.core.sasl import (
    BAD_CREDENTIALS,
    MALFORMED,
    Challenge,
    Channel,
    CheckCertificate,
    Failure,
    Need,
    Step,
    Success,
)
from submission.core.sasl.decoding import decode_name


class ExternalMechanism:
    """One EXTERNAL exchange."""

    NAME: ClassVar[str] = "EXTERNAL"
    SENDS_PASSWORD: ClassVar[bool] = False
    NEED: ClassVar[Need] = Need.NOTHING

    def __init__(self, _channel: Channel) -> None:
        self._asked_for: str | None = None

    def start(self, initial: bytes | None) -> Step:
        """Take the message, or ask for it with an empty challenge (RFC 4422 section 5)."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, data: bytes) -> Step:
        """Take the authorization identity, and ask whether the certificate is good for it."""
        name = decode_name(data) if data else ""
        if name is None:
            return Failure(MALFORMED)
        self._asked_for = name
        return CheckCertificate(name)

    def resolve(self, answer: object) -> Step:
        """Succeed where the answer to the question that was asked is True, and nothing else."""
        name, self._asked_for = self._asked_for, None
        if name is None:
            return Failure(MALFORMED)
        return Success(name) if answer is True else Failure(BAD_CREDENTIALS, name)
