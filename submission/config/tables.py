"""What every table of the configuration file is, and how a check of several keys tells what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class CrossCheckError(ValueError):
    """What a check of several keys found: full key to what is wrong."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(texts)
        self.texts = texts


class Table(BaseModel):
    """A table of the file: immutable, no unknown keys, no value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def unless(faults: Mapping[str, str], value: T) -> T:
    """The value that was checked. Raises CrossCheckError where there are faults."""
    if faults:
        raise CrossCheckError(faults)
    return value
