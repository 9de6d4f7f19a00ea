"""Programs that a test needs. Where one is missing the test is skipped and says so; .ci/run makes it fail instead.

$REQUIRE_PROGRAMS, set to anything, is the switch.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

_missing: dict[str, str] = {}


def require(*names: str) -> None:
    """Go on only if each of these programs is found."""
    for name in names:
        if shutil.which(name) is None:
            do_without(name, "is not installed")


def require_file(path: Path, program: str) -> Path:
    """The path, if something is there; `program` is what it belongs to."""
    if not path.exists():
        do_without(program, f"is not installed, {path} is missing")
    return path


def do_without(program: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where programs are required."""
    _missing[program] = reason
    if os.environ.get("REQUIRE_PROGRAMS"):
        pytest.fail(f"{program} {reason}, and REQUIRE_PROGRAMS is set", pytrace=False)
    pytest.skip(f"{program} {reason}")


def summarize() -> Iterable[str]:
    """A line for each program that some test had to do without."""
    return (f"{program} {reason}" for program, reason in sorted(_missing.items()))
