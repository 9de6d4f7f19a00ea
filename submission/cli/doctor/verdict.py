"""What came of one trial: a line of the table."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.Enum):
    """How a trial ended. A value here is a word that is printed."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One trial: where, what was tried, how it ended, and what was found or is to be done."""

    where: str
    tried: str
    outcome: Outcome
    text: str = ""
    is_silence: bool = False
    """Whether it failed because nobody answers there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where trials are made; makes their verdicts."""

    name: str

    def ok(self, tried: str, text: str = "") -> Verdict:
        """It is as it should be."""
        return Verdict(self.name, tried, Outcome.OK, text)

    def warning(self, tried: str, text: str) -> Verdict:
        """It works, and somebody should look at it."""
        return Verdict(self.name, tried, Outcome.WARNING, text)

    def failed(self, tried: str, text: str) -> Verdict:
        """It doesn't work, or works where it must not."""
        return Verdict(self.name, tried, Outcome.FAILED, text)

    def silent(self, tried: str, text: str) -> Verdict:
        """Nobody answers."""
        return Verdict(self.name, tried, Outcome.FAILED, text, is_silence=True)

    def not_tried(self, tried: str, text: str) -> Verdict:
        """It could not be tried from here, which is nobody's fault."""
        return Verdict(self.name, tried, Outcome.NOT_TRIED, text)
