"""docs/watching.md names every event of the log."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
EVENT = re.compile(r"\blogs\.(?:event|warning|failure)\(\s*\"([a-z-]+)\"")


def read_events() -> set[str]:
    return {name for file in (ROOT / "submission").rglob("*.py") for name in EVENT.findall(file.read_text())}


def test_every_event_is_named() -> None:
    events = read_events()
    assert {"message", "worker-died", "dialogue"} <= events
    document = (ROOT / "docs/watching.md").read_text()
    assert {name for name in events if not re.search(rf"`{name}`|event={name}\b", document)} == set()
