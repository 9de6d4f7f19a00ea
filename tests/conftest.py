"""What every test may use, and the closing word on programs that were missing."""

from __future__ import annotations

import pytest

from tests.support import programs


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once which programs were missing, however many tests were skipped for it."""
    lines = list(programs.summarize())
    if lines:
        terminalreporter.section("programs that tests had to do without")
        for line in lines:
            terminalreporter.write_line(line)
