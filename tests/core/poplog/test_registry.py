"""Every recorded line has the verdict that belongs to it, whichever formats are named beside its own."""

import re
from pathlib import Path

import pytest

from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from tests.support.poplog import FOLDER, NOW, everything, sessions, shown

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "pop-before-smtp.md"
FILES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_recorded_lines(file: Path) -> None:
    told, wanted = [], []
    for session in sessions(file):
        reader = everything()
        for line in session:
            told.append((line.text, shown(reader.feed(line.text, NOW))))
            wanted.append((line.text, line.verdict.removesuffix(" undecided")))
    assert told == wanted


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_in_one_stream(file: Path) -> None:
    """One session's lines mean nothing for another's, though their processes have the same numbers."""
    reader = everything()
    for session in sessions(file):
        for line in session:
            assert (line.text, shown(reader.feed(line.text, NOW))) == (
                line.text,
                line.verdict.removesuffix(" undecided"),
            )


def test_all_lines_are_there() -> None:
    lines = [line for file in FILES for session in sessions(file) for line in session]
    assert len(lines) >= 429
    assert sum(line.is_login for line in lines) >= 188
    assert sum(line.verdict == "- undecided" for line in lines) == 7


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_lines_and_needs_no_other(name: str) -> None:
    file = FOLDER / f"{name}.txt"
    for session in sessions(file):
        reader = Reader([FORMATS[name]])
        for line in session:
            assert shown(reader.feed(line.text, NOW)) == line.verdict.removesuffix(" undecided")


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_not_named_does_not_count(name: str) -> None:
    others = [family for family in FORMATS.values() if family.name != name]
    for session in sessions(FOLDER / f"{name}.txt"):
        reader = Reader(others)
        for line in session:
            login = reader.feed(line.text, NOW)
            assert login is None or login.server != name


def test_the_documentation_has_all_formats() -> None:
    section = DOCUMENTATION.read_text().partition("\n### The formats\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)
    assert sorted(name for name in rows if name != "formats") == sorted(FORMATS)


def test_names() -> None:
    assert all(family.name == name for name, family in FORMATS.items())
    assert all(family.logins or family.lines or family.steps for family in FORMATS.values())
