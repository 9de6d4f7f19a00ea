"""What a document links to is there: the file, and the heading in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/dialogues/README.md"])
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"#+ (.+)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def read_anchors(document: Path) -> set[str]:
    """What GitHub calls its headings."""
    lines = FENCED.sub("", document.read_text()).splitlines()
    titles = [match[1] for match in map(HEADING.fullmatch, lines) if match]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.finditer(FENCED.sub("", document.read_text())):
        target = document.parent / link["path"] if link["path"] else document
        if not target.exists() or (link["anchor"] and link["anchor"] not in read_anchors(target)):
            broken.append(link[0])
    assert broken == []
