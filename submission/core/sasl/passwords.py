"""What PLAIN and LOGIN share: they send the password itself, and the store says whether it is the login's."""

from __future__ import annotations

from typing import ClassVar

from submission.core.sasl import (
    BAD_CREDENTIALS,
    MALFORMED,
    Answer,
    Channel,
    CheckPassword,
    Failure,
    Need,
    Step,
    Success,
)
from submission.core.sasl.decoding import decode_password


class PasswordMechanism:
    """The end of an exchange: name and password are known, the store is asked, its answer is the verdict."""

    SENDS_PASSWORD: ClassVar[bool] = True
    NEED: ClassVar[Need] = Need.PASSWORD

    def __init__(self, _channel: Channel) -> None:
        self._asked_for: str | None = None

    def resolve(self, answer: Answer) -> Step:
        """Succeed where the store said True to the question that was asked, and to nothing else."""
        name, self._asked_for = self._asked_for, None
        if name is None:
            return Failure(MALFORMED)
        return Success(name) if answer is True else Failure(BAD_CREDENTIALS, name)

    def _ask(self, name: str, password: bytes) -> Step:
        """Ask the store about `name`, whose password is still as the client sent it."""
        text = decode_password(password)
        if text is None:
            return Failure(MALFORMED, name)
        self._asked_for = name
        return CheckPassword(name, text)
