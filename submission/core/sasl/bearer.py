"""What OAUTHBEARER and XOAUTH2 share: a bearer token in one message (RFC 6750), and how its refusal is told.

A token that is refused is no failure yet: the client is told why in a challenge, as JSON, and the exchange fails with
its answer to that, whatever that is (RFC 7628 section 3.2.3). So it fails in the one place where every exchange does.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from submission.core.sasl import (
    BAD_CREDENTIALS,
    MALFORMED,
    Challenge,
    Channel,
    CheckToken,
    Failure,
    Need,
    Step,
    Success,
)

TOKEN = rb"(?i:bearer) +(?P<token>[A-Za-z0-9._~+/-]+=*)"
"""The value of `auth=`, as in an HTTP field (RFC 6750 section 2.1). Its length is bounded by that of the line."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client's message says: a user name, empty where it gives none, and a token."""

    name: str
    token: str = field(repr=False)


class BearerMechanism(ABC):
    """One exchange; what differs is how the message is written, and the refusal."""

    SENDS_PASSWORD: ClassVar[bool] = True
    NEED: ClassVar[Need] = Need.NOTHING

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._asked_for: str | None = None
        self._refused: str | None = None

    def start(self, initial: bytes | None) -> Step:
        """Take the message, or ask for it with an empty challenge (RFC 4422 section 5)."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, data: bytes) -> Step:
        """Take the message apart and ask about its token; behind a refusal, fail."""
        refused, self._refused = self._refused, None
        if refused is not None:
            return Failure(BAD_CREDENTIALS, refused)
        credentials = self.parse(data)
        if credentials is None:
            return Failure(MALFORMED)
        self._asked_for = credentials.name
        return CheckToken(credentials.name, credentials.token)

    def resolve(self, answer: object) -> Step:
        """Succeed where the answer to the question that was asked is True, and nothing else."""
        name, self._asked_for = self._asked_for, None
        if name is None:
            return Failure(MALFORMED)
        if answer is True:
            return Success(name)
        self._refused = name
        return Challenge(json.dumps(self.refusal(self._channel), separators=(",", ":")).encode())

    @staticmethod
    @abstractmethod
    def parse(message: bytes) -> Credentials | None:
        """What the client's message says, or None where it says nothing of the kind."""

    @staticmethod
    @abstractmethod
    def refusal(channel: Channel) -> Mapping[str, str]:
        """What the client is told of a token that is refused, and may get a better one by."""
