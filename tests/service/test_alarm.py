from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission import logs
from submission.core.addresses import Login
from submission.credentials.accounts import NoSuchUserError
from submission.service import alarm
from submission.service.alarm import Alarm
from tests.support.network import wait_until
from tests.support.workers import is_alive

ALICE = Login("alice", "example.com")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    logs.configure("logfmt", stream)
    yield stream
    logs.configure("logfmt")


def sh(script: str, *arguments: object) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *map(str, arguments)]


def test_the_command_is_told_the_user_and_the_limit_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    raised = Alarm(["/usr/bin/env"], None)  # prints to nobody, so it must not fail for that
    raised(ALICE, "messages_per_hour")
    raised.close()
    strange = Login('$(reboot)"; é', "example.com")
    raised = Alarm(sh('env > "$1"; pwd >> "$1"; cat >> "$1"', tmp_path / "told"), None)
    raised(strange, "messages_per_hour")
    raised.close()
    told = (tmp_path / "told").read_text(encoding="utf-8").splitlines()
    assert 'SUBMISSION_USER=$(reboot)"; é@example.com' in told
    assert "SUBMISSION_LIMIT=messages_per_hour" in told
    assert told[-1] == "/"
    names = {line.partition("=")[0] for line in told[:-1]}
    assert names <= {"SUBMISSION_USER", "SUBMISSION_LIMIT", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_the_account_is_suspended_before_the_command_runs(tmp_path: Path, log: io.StringIO) -> None:
    def suspend(login: Login) -> None:
        (tmp_path / "suspended").write_text(str(login))

    raised = Alarm(sh('cp "$1/suspended" "$1/seen"', tmp_path), suspend)
    raised(ALICE, "connections")
    raised.close()
    assert (tmp_path / "seen").read_text() == "alice@example.com"
    assert 'event=suspended user="alice@example.com" limit=connections' in log.getvalue()


def test_a_command_that_hangs_puts_off_no_suspension(tmp_path: Path, log: io.StringIO) -> None:
    suspended: list[Login] = []
    os.mkfifo(tmp_path / "gate")
    raised = Alarm(sh('echo x >> "$1/ran"; read line < "$1/gate"', tmp_path), suspended.append)
    raised(ALICE, "connections")
    wait_until((tmp_path / "ran").exists)
    raised(Login("bob", "example.com"), "connections")
    wait_until(lambda: len(suspended) == 2)
    descriptor = os.open(tmp_path / "gate", os.O_RDWR)
    assert len((tmp_path / "ran").read_text().splitlines()) == 1
    os.write(descriptor, b"\n" * 2)
    raised.close()
    os.close(descriptor)
    assert "alert-failed" not in log.getvalue()


def test_a_suspension_that_fails_is_told_and_the_command_runs_nonetheless(tmp_path: Path, log: io.StringIO) -> None:
    def suspend(login: Login) -> None:
        raise NoSuchUserError(login)

    raised = Alarm(sh('touch "$1"', tmp_path / "ran"), suspend)
    raised(ALICE, "connections")
    raised.close()
    assert (tmp_path / "ran").exists()
    assert "event=suspension-failed" in log.getvalue()


def test_without_a_command_nothing_happens(log: io.StringIO) -> None:
    raised = Alarm([], None)
    raised(ALICE, "connections")
    raised.close()
    assert log.getvalue() == ""


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/nonexistent/program"], "/nonexistent/program: No such file or directory"),
        (["/etc/passwd"], "/etc/passwd: Permission denied"),
        (sh("exit 3"), "/bin/sh: exit status 3"),
        (sh("kill -9 $$"), "/bin/sh: exit status -9"),
    ],
)
def test_a_command_that_fails_is_told(command: list[str], reason: str, log: io.StringIO) -> None:
    raised = Alarm(command, None)
    raised(ALICE, "connections")
    raised.close()
    expected = f'event=alert-failed user="alice@example.com" limit=connections reason="{reason}"\n'
    assert log.getvalue().endswith(expected)


def test_a_command_that_does_not_end_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setattr(alarm, "PATIENCE", 2.0)
    raised = Alarm(sh('sleep 50 & echo $! > "$1/pid"; sleep 50', tmp_path), None)
    begin = time.monotonic()
    raised(ALICE, "connections")
    assert log.getvalue() == ""  # who sends doesn't wait for it
    raised.close()
    assert time.monotonic() - begin < 40
    assert "killed after 2 seconds" in log.getvalue()
    wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: io.StringIO) -> None:
    monkeypatch.setattr(alarm, "MAX_WAITING", 2)
    os.mkfifo(tmp_path / "gate")
    raised = Alarm(sh('read line < "$1/gate"; echo x >> "$1/ran"', tmp_path), None)
    for _ in range(10):
        raised(ALICE, "connections")
    wait_until(lambda: "too many wait for theirs" in log.getvalue())
    descriptor = os.open(tmp_path / "gate", os.O_RDWR)
    os.write(descriptor, b"\n" * 10)
    raised.close()
    os.close(descriptor)
    assert 2 <= len((tmp_path / "ran").read_text().splitlines()) <= 3
