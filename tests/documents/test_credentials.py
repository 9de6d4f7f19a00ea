"""docs/credentials.md, followed on a host with one account, which is lost after the backup."""

from __future__ import annotations

from pathlib import Path

from tests.support import programs
from tests.support.host import Host
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/credentials.md"
LOSS = """
submission-passwd -d alice
printf other | submission-passwd -c -p eve
"""


def test_credentials(installed: Host) -> None:
    programs.require("sqlite3")
    installed.do("printf secret | submission-passwd -c -p alice")
    with Walk(installed, DOCUMENT) as walk:
        walk.section("App passwords")
        walk.section("Backup")
        installed.do(LOSS)
        walk.section("Putting a backup back")
    assert installed.run("submission user verify alice", stdin="secret\n").status == 0
