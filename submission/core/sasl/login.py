"""LOGIN (draft-murchison-sasl-login): the server prompts for a name, then for a password.

Never standardised, so clients differ. Three variants are in use and all are taken: nothing with the command, the
name with it, or name and password with it, separated by NUL. The prompts are the two that every client knows.
"""

from __future__ import annotations

from typing import ClassVar

from submission.core.sasl import MALFORMED, Challenge, Channel, Failure, Step
from submission.core.sasl.decoding import decode_name
from submission.core.sasl.passwords import PasswordMechanism

NAME_PROMPT = Challenge(b"Username:")
PASSWORD_PROMPT = Challenge(b"Password:")


class LoginMechanism(PasswordMechanism):
    """One LOGIN exchange."""

    NAME: ClassVar[str] = "LOGIN"

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._name: str | None = None

    def start(self, initial: bytes | None) -> Step:
        """Prompt for whatever the client didn't send."""
        if initial is None:
            return NAME_PROMPT
        name, nul, password = initial.partition(b"\0")
        prompt = self._take_name(name)
        return self.respond(password) if nul and prompt is PASSWORD_PROMPT else prompt

    def respond(self, data: bytes) -> Step:
        """Take the answer to the last prompt: first the name, then the password."""
        if self._name is None:
            return self._take_name(data)
        return self._ask(self._name, data)

    def _take_name(self, data: bytes) -> Step:
        self._name = decode_name(data)
        return Failure(MALFORMED) if self._name is None else PASSWORD_PROMPT
