"""Lines of logs with their verdicts, as tests/core/poplog/lines/ has them, and templates of lines.

A line stands at the margin, octets that are no UTF-8 as `\\xNN`; below it, after `    => `, what follows from it: `user
ip proto`, or `-`. `- undecided` marks a login that is refused because its text proves nothing; docs/pop-before-smtp.md
says why. Lines between two empty ones belong together and are read in their order. `#` begins a remark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from submission.core.poplog import PopLogin
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS

FOLDER = Path(__file__).parent.parent / "core" / "poplog" / "lines"
NOW = 1795234567.0  # 2026-11-21, shortly after most lines
_VERDICT = "    => "


class Line(NamedTuple):
    text: bytes
    verdict: str

    @property
    def is_login(self) -> bool:
        return not self.verdict.startswith("-")


def sessions(file: Path) -> Iterator[list[Line]]:
    """Lines that belong together, of one file."""
    for paragraph in file.read_text().split("\n\n"):
        lines = [line for line in paragraph.split("\n") if line and not line.startswith("#")]
        yield [
            Line(octets(text), verdict.removeprefix(_VERDICT))
            for text, verdict in zip(lines[::2], lines[1::2], strict=True)
        ]


def all_sessions() -> Iterator[list[Line]]:
    for file in sorted(FOLDER.glob("*.txt")):
        yield from sessions(file)


def templates(name: str) -> dict[str, list[str]]:
    """Format to its templates, of one file in templates/."""
    found: dict[str, list[str]] = {}
    for paragraph in (FOLDER.parent / "templates" / f"{name}.txt").read_text().split("\n\n"):
        family, *lines = paragraph.strip().split("\n")
        found[family.removeprefix("# ")] = lines
    return found


def octets(text: str) -> bytes:
    """The line as its server wrote it."""
    parts = re.split(r"\\x([0-9a-f]{2})", text) if not text.startswith("{") else [text]
    return b"".join(bytes.fromhex(part) if number % 2 else part.encode() for number, part in enumerate(parts))


def shown(login: PopLogin | None) -> str:
    return f"{login.user} {login.address} {login.proto}" if login else "-"


def everything() -> Reader:
    return Reader(FORMATS.values())
