"""Inputs that a fuzzer found, in a file a target: a line is one, as a literal of Python's bytes, the shortest first."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
MAX_FILE = 32 * 1024
"""Octets that are kept for a target: the shortest inputs, as many as fit."""


def read(target: str) -> list[bytes]:
    """All inputs of a target; none where nothing was kept yet."""
    file = _file(target)
    return [ast.literal_eval(line) for line in file.read_text("ascii").splitlines()] if file.exists() else []


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Keep these, and forget the others."""
    lines, left = [], MAX_FILE
    for octets in sorted(set(inputs), key=lambda octets: (len(octets), octets)):
        line = f"{octets!r}\n"
        left -= len(line)
        if left < 0:
            break
        lines.append(line)
    _file(target).write_text("".join(lines), "ascii")


def _file(target: str) -> Path:
    return FOLDER / f"{target}.txt"
