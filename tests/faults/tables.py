"""The tables of docs/faults.md: what is written there is what is tested here."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs/faults.md"

Column = dict[str, str]
"""From a step to what becomes of the message of a client that is there when the fault happens."""


def columns(title: str) -> dict[str, Column]:
    """The table under a heading, by its faults. A cell that makes no sense holds a dash, and is left out."""
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in _lines(title)]
    faults, cells = rows[0], rows[2:]
    return {
        fault: {row[0]: row[number] for row in cells if row[number] != "-"}
        for number, fault in enumerate(faults)
        if number > 0
    }


def _lines(title: str) -> list[str]:
    section = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"{DOCUMENT.name} has no table {title!r}"
    return [line for line in section[1].splitlines() if line.startswith("|")]
