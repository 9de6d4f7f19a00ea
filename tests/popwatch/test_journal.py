"""The journal by a program that prints what journalctl would: there is none to be asked where tests run."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from submission.popwatch import Batch, journal
from submission.popwatch.journal import Journal

PROGRAM = """
import json, sys
where = [argument for argument in sys.argv if argument.startswith(("--after-cursor=", "--since="))]
with open(sys.argv[1], "a") as file:
    file.write(where[0] + "\\n")
first = int(where[0].partition("=")[2].removeprefix("c") or 0) + 1 if where[0].startswith("--after") else 1
for number in range(first, first + 2):
    print(json.dumps({"__CURSOR": f"c{number}", "MESSAGE": f"line {number}", "_UID": "0"}))
print("not JSON")
print("[1]")
"""


def wait_for(source: Journal) -> Batch:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        batch = source.read()
        if batch is not None:
            return batch
        time.sleep(0.01)
    raise TimeoutError


def message(entry: object) -> object:
    assert isinstance(entry, Mapping)
    return entry["MESSAGE"]


def test_entries_come_with_a_cursor_and_go_on_behind_it_when_journalctl_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[dict[str, object]]]
) -> None:
    monkeypatch.setattr(journal, "FIRST_PAUSE", 0.01)
    asked = tmp_path / "asked"
    source = Journal(command=(sys.executable, "-c", PROGRAM, str(asked)))
    seen: list[object] = []
    while len(seen) < 6:
        batch = wait_for(source)
        seen += map(message, batch.lines)
    assert seen[:6] == [f"line {number}" for number in range(1, 7)]
    assert batch.position == f"c{len(seen)}"
    assert not batch.is_live  # what is read after a rest was not written now
    source.close()
    assert asked.read_text().splitlines()[:3] == ["--since=-1h", "--after-cursor=c2", "--after-cursor=c4"]
    assert {line["event"] for line in logged()} == {"journal-lost"}


def test_without_journalctl_the_log_says_so_and_nothing_else_happens(
    logged: Callable[[], list[dict[str, object]]],
) -> None:
    source = Journal(command=("/nowhere/journalctl",))
    assert source.read() is None
    assert source.read() is None
    assert [line["event"] for line in logged()] == ["journal-lost"]
    source.close()
