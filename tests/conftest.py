"""What every test may use, and the closing word on programs that were missing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import hypothesis
import pytest

from submission import logs
from tests.support import programs

# A machine that is busy with something else is no fault of the code's.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("suite"), max_examples=5000)
hypothesis.settings.load_profile("suite")


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
