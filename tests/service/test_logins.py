"""From lines to grants: what counts, from when, and that a batch is stored once it can be."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from submission.config import load
from submission.service import logins
from submission.service.logins import LoginFollower
from submission.smtp.admission import find_admission
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState
from tests.support.granting import login_line
from tests.support.network import wait_until

LIFETIME = 600
ADDRESS = "198.51.100.23"


class Rig:
    """A follower of one log in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mail.log"
        self.state = SqliteState(folder / "state.db")
        self.table = GrantTable(self.state)
        configuration = folder / "submission.toml"
        configuration.write_text(
            'hostname = "mail.example.com"\n[auth]\nrealm = "example.com"\n[[listen]]\naddress = "127.0.0.1:1"\n'
            'tls = "none"\n[pop_before_smtp]\nenabled = true\nlogs = ["mail.log"]\nformats = ["dovecot"]\n'
            f'lifetime = {LIFETIME}\ndeny = ["203.0.113.0/24"]\nshared = ["192.0.2.0/24"]\n'
        )
        self._settings = load(configuration)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        follower = LoginFollower(self._settings, find_admission(self._settings), self.table)
        self._stop.clear()
        self._thread = threading.Thread(target=follower.run, args=(self._stop,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(20)
            assert not self._thread.is_alive()

    def write(self, *lines: str) -> None:
        with self.path.open("a") as file:
            file.writelines(lines)

    def logins(self) -> int:
        return sum(reliance.logins for reliance in self.table.reliances())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.stop()
    rig.state.close()


def stamped(line: str, when: datetime) -> str:
    """A line with another time."""
    return f"{when:%b %e %H:%M:%S}{line[15:]}"


def now() -> datetime:
    return datetime.now().astimezone()


def test_what_was_there_counts_from_when_it_was(rig: Rig) -> None:
    rig.write(
        stamped(login_line("joe", ADDRESS), now() - timedelta(minutes=4)),
        stamped(login_line("old", "198.51.100.1"), now() - timedelta(days=2)),
        stamped(login_line("next", "198.51.100.2"), now() + timedelta(days=3)),
        stamped(login_line("clock", "198.51.100.3"), now() + timedelta(minutes=5)),
    )
    begin = time.time()
    rig.start()
    wait_until(lambda: rig.logins() == 3)
    grants = {grant.user: grant for grant in rig.table.grants()}
    assert set(grants) == {"joe@example.com", "clock@example.com"}
    assert begin + LIFETIME - 242 <= grants["joe@example.com"].until <= begin + LIFETIME - 238
    assert grants["clock@example.com"].until <= time.time() + LIFETIME


def test_what_is_written_now_counts_from_now_whatever_it_says(
    rig: Rig, logged: Callable[[], list[dict[str, object]]]
) -> None:
    rig.write("nothing\n")
    rig.start()
    wait_until(lambda: bool(rig.table.positions()))
    wait_until(lambda: rig.state.version() is not None)  # a look that found nothing more has passed
    begin = time.time()
    rig.write(stamped(login_line("joe", ADDRESS), now() - timedelta(days=20)))
    wait_until(lambda: rig.logins() == 1)
    (grant,) = rig.table.grants()
    assert begin + LIFETIME - 1 <= grant.until <= time.time() + LIFETIME
    wait_until(lambda: any(event["event"] == "grant" for event in logged()))
    (event,) = [event for event in logged() if event["event"] == "grant"]
    assert (event["user"], event["ip"], event["proto"], event["server"]) == (
        "joe@example.com",
        ADDRESS,
        "pop3",
        "dovecot",
    )
    assert str(event["until"]).endswith("Z")


def test_addresses_and_names_that_can_have_no_grant(rig: Rig, logged: Callable[[], list[dict[str, object]]]) -> None:
    rig.write(
        login_line("joe", "203.0.113.5"),
        login_line("joe", "192.0.2.5"),
        login_line("joe", "127.0.0.1"),
        login_line("j o\te", "198.51.100.1"),
        login_line("joe", ADDRESS),
    )
    rig.start()
    wait_until(lambda: rig.logins() == 1)
    assert [grant.address for grant in rig.table.grants()] == [ADDRESS]
    assert [event["ip"] for event in logged() if event["event"] == "grant-refused"] == ["198.51.100.1"]


def test_a_batch_is_tried_until_it_is_stored(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[dict[str, object]]]
) -> None:
    monkeypatch.setattr(logins, "RETRY", 0.01)
    monkeypatch.setattr("submission.state.sqlite.BUSY_TIMEOUT", 0.01)
    rig.start()
    locker = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    rig.write(login_line("joe", ADDRESS))
    wait_until(lambda: any(event["event"] == "state-unavailable" for event in logged()))
    locker.execute("ROLLBACK")
    locker.close()
    wait_until(lambda: rig.logins() == 1)
    rig.stop()
    rig.start()
    rig.write(login_line("joe", ADDRESS))
    wait_until(lambda: rig.logins() == 2)
