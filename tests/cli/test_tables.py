"""What commands print where somebody sits at a terminal, and where nobody does."""

import subprocess
import sys

import pytest

from tests.support.terminal import Terminal

PROGRAM = """
from submission.cli.tables import print_table
print_table(("Address", "User", "Server"), [("2001:db8:1111:2222::50", "joe\\x1b[31m", "dovecot")])
"""
LINE = "2001:db8:1111:2222::50\tjoe\\x1b[31m\tdovecot"


def test_programs_get_lines() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == f"{LINE}\n"


@pytest.mark.parametrize(("columns", "is_table"), [(20, False), (80, True)])
def test_a_person_gets_a_table_unless_the_terminal_is_too_narrow_for_one(columns: int, is_table: bool) -> None:
    with Terminal("env", f"COLUMNS={columns}", "LINES=24", sys.executable, "-c", PROGRAM) as terminal:
        assert terminal.finish() == 0
    assert ("┃ Address" in terminal.screen.replace("\x1b[1m", "").replace("\x1b[0m", "")) == is_table
    assert (LINE in terminal.screen) != is_table
    assert "\x1b[31m" not in terminal.screen
