"""What regular expressions may not use, for a Python that the project runs on gets it wrong."""

from __future__ import annotations

import re
from pathlib import Path

import submission

POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")


def test_no_group_is_possessive() -> None:
    """Python 3.11 before 3.11.5 goes on behind what a group had begun: `(?:[.]a)*+` took `a.`, and `a.@b` was one."""
    files = list(Path(submission.__file__).parent.rglob("*.py"))
    assert files
    assert not {file.name for file in files if POSSESSIVE_GROUP.search(file.read_text())}
