"""What a log that was there before makes of the table: late lines, and ones that make no sense."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from submission.config.settings import Settings
from submission.core.grants import Grant
from submission.service.logins import LoginFollower
from submission.smtp.admission import find_admission
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState
from tests.support.granting import JOE, login_line
from tests.support.network import wait_until

DAY = 86400.0
HEADER = len("Nov 21 14:00:00")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[GrantTable]:
    state = SqliteState(tmp_path / "state.db")
    yield GrantTable(state)
    state.close()


def follow(table: GrantTable, log: str, count: int) -> list[Grant]:
    """The grants that are good, once there were logins of so many users."""
    settings = Settings.model_validate(
        {
            "hostname": "mail.example",
            "listen": [{"address": "[::1]:587", "tls": "none"}],
            "pop_before_smtp": {"logs": [log], "formats": ["dovecot"], "lifetime": "30m"},
        }
    )
    stop = threading.Event()
    follower = LoginFollower(settings, find_admission(settings), table)
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: len(table.reliances()) == count)
    finally:
        stop.set()
        thread.join()
    return table.grants()


def test_logins_that_the_journal_tells_of_late_count_from_when_they_were(
    table: GrantTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry(user: str, age: float) -> str:
        when = time.time() - age
        return json.dumps(
            {
                "__CURSOR": user,
                "__REALTIME_TIMESTAMP": str(int(when * 1e6)),
                "MESSAGE": login_line(user, JOE).partition("dovecot: ")[2].rstrip(),
                "SYSLOG_IDENTIFIER": "dovecot",
                "_UID": "0",
                "_COMM": "dovecot",
                "_EXE": "/usr/sbin/dovecot",
            }
        )

    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{entry('old', DAY)}\n{entry('joe', 60)}\nEND\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (grant,) = follow(table, "journal", 2)
    assert grant.user == "joe@mail.example"
    assert -2 < time.time() + 1740 - grant.until < 60


def test_a_line_of_no_possible_time_grants_nothing_and_those_behind_it_count(table: GrantTable, tmp_path: Path) -> None:
    log, now = tmp_path / "mail.log", datetime.now(UTC)
    rest = login_line("joe", JOE)[HEADER:]
    first = "0001-01-01T00:00:00" + login_line("first", JOE)[HEADER:]
    last = "9999-12-31T23:59:59" + login_line("last", JOE)[HEADER:]
    log.write_text(f"{first}{last}{now:%Y-%m-%dT%H:%M:%SZ}{rest}")
    (grant,) = follow(table, str(log), 2)
    assert grant.user == "joe@mail.example"
