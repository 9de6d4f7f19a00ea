"""The targets by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Protocol, cast


class Target(Protocol):
    """A module beside this one."""

    @staticmethod
    def seeds() -> Iterable[bytes]:
        """Inputs to begin with."""

    @staticmethod
    def check(data: bytes) -> None:
        """Raise where `data` breaks an invariant."""


NAMES = ("arguments", "data", "databases", "header", "poplog", "proxy_header", "sasl", "session")


def load(name: str) -> Target:
    """A target, by its name."""
    return cast("Target", importlib.import_module(f"fuzz.targets.{name}"))
