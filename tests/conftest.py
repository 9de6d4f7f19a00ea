"""What every test may use, and the closing word on programs that were missing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import hypothesis
import pytest

from submission import logs
from tests.support import programs

# Milliseconds of an example: many times what any takes, on a machine that stands still for seconds, which is no
# fault of the code's. What takes longer goes on and on, such as a pattern that backtracks.
hypothesis.settings.register_profile("suite", deadline=20_000)
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("suite"), max_examples=5000)
hypothesis.settings.load_profile("suite")


# Files whose few tests take long, each test or file by itself.
_LONG = ("tests/migration/", "tests/documents/", "tests/service/test_gate.py", "tests/faults/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the long ones first, so that no process is left alone with them in the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, object]]]:
    """Gives the fields of every line that this process logged since the test began."""
    stream = io.StringIO()
    monkeypatch.setattr(logs, "_output", logs._Output("json", stream))
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once which programs were missing, however many tests were skipped for it."""
    lines = list(programs.summarize())
    if lines:
        terminalreporter.section("programs that tests had to do without")
        for line in lines:
            terminalreporter.write_line(line)
