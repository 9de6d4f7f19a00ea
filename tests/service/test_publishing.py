"""What sendmail sees of the table: answers, and files that are written when something changed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from submission.config.pop import Sendmail
from submission.core.admission import Admission
from submission.core.grants import Grant
from submission.service import publishing
from submission.service.maps import Maps
from submission.service.publishing import Publisher
from submission.smtp.admission import Admissions
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState
from tests.support.network import wait_until

HERE, THERE = "192.0.2.50", "2001:db8::50"


def grant(address: str = HERE, seconds: float = 600) -> Grant:
    now = time.time()
    return Grant(address, "joe@example.com", "pop3", "dovecot", now, now, now + seconds)


class Rig:
    def __init__(self, folder: Path, **files: Path) -> None:
        self.state = SqliteState(folder / "state.db")
        self.table = GrantTable(self.state)
        admissions = Admissions(Admission("example.com", relay_domains=frozenset(["backup.example"])), self.table)
        self.has_turn = True
        self.publisher = Publisher(Maps(Sendmail(**files), folder), self.table, admissions, lambda: self.has_turn)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(publishing, "WRITE", 0.0)
    rig = Rig(tmp_path, text_map=tmp_path / "map")
    yield rig
    rig.state.close()


async def test_a_grant_is_found_and_written_while_it_is_good(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "map"
    await rig.publisher.look()
    assert path.read_text() == ""
    assert rig.publisher.find(HERE) is None  # that of a relay domain is sendmail's own matter
    rig.table.record([grant(), grant(THERE, 0.2)])
    assert rig.publisher.find(HERE) == "joe@example.com"
    await rig.publisher.look()
    assert [line.partition("|")[0] for line in path.read_text().splitlines()] == [
        HERE,
        "ipv6:2001:db8:0:0:0:0:0:50",
    ]
    end = time.time() + 0.3
    while time.time() < end:
        await rig.publisher.look()
    assert path.read_text() == f"{HERE}|joe@example.com\n"
    before = path.stat()
    await rig.publisher.look()
    assert path.stat() == before
    await rig.publisher.withdraw()
    assert path.read_text() == ""


async def test_who_relays_by_a_grant_is_counted(rig: Rig) -> None:
    rig.table.record([grant()])
    await rig.publisher.look()
    for address in (HERE, HERE, THERE):
        rig.publisher.note(address)
    await rig.publisher.settle()
    (reliance,) = rig.table.reliances()
    assert (reliance.user, reliance.messages) == ("joe@example.com", 2)
    assert reliance.last_message > 0


async def test_nothing_is_written_more_often_than_allowed(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "WRITE", 600.0)
    await rig.publisher.look()
    rig.table.record([grant()])
    await rig.publisher.look()
    assert (tmp_path / "map").read_text() == ""


async def test_nothing_is_written_while_another_may(rig: Rig, tmp_path: Path) -> None:
    rig.has_turn = False
    rig.table.record([grant()])
    await rig.publisher.look()
    assert not (tmp_path / "map").exists()
    rig.has_turn = True
    await rig.publisher.look()
    assert (tmp_path / "map").read_text() == f"{HERE}|joe@example.com\n"


async def test_a_static_host_s_name_that_takes_long_keeps_nobody_from_being_published(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Event()
    monkeypatch.setattr("submission.smtp.admission._addresses", lambda _: may_answer.wait(20) and frozenset())
    admissions = Admissions(Admission("example.com"), rig.table, ["slow.example"])
    publisher = Publisher(Maps(Sendmail(text_map=tmp_path / "map"), tmp_path), rig.table, admissions, lambda: True)
    rig.table.record([grant()])
    running = asyncio.get_running_loop().create_task(publisher.run())
    await asyncio.to_thread(wait_until, (tmp_path / "map").exists)
    may_answer.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_file_that_cannot_be_written_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[dict[str, object]]]
) -> None:
    monkeypatch.setattr(publishing, "RETRY", 0.0)
    folder = tmp_path / "later"
    rig = Rig(tmp_path, text_map=folder / "map")
    rig.table.record([grant()])
    await rig.publisher.look()
    (event,) = [event for event in logged() if event["event"] == "map-failed"]
    assert str(event["reason"]) == f"{folder}/map: No such file or directory"
    folder.mkdir()
    await rig.publisher.look()
    assert (folder / "map").read_text() == f"{HERE}|joe@example.com\n"
    rig.state.close()


def take_away(rig: Rig, folder: Path) -> None:
    """The state, as a disk with a fault would."""
    rig.state.close()
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "state.db").mkdir()


async def test_a_state_that_cannot_be_read_answers_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.table.record([grant()])
    await rig.publisher.look()
    take_away(rig, tmp_path)
    await rig.publisher.look()
    with pytest.raises(StateUnavailableError):
        rig.publisher.find(HERE)
    (tmp_path / "state.db").rmdir()
    await rig.publisher.look()
    assert rig.publisher.find(HERE) is None


async def test_a_state_that_cannot_be_read_keeps_no_grant_in_a_file(rig: Rig, tmp_path: Path) -> None:
    rig.table.record([grant(), grant(THERE, 0.5)])
    await rig.publisher.look()
    assert len((tmp_path / "map").read_text().splitlines()) == 2
    take_away(rig, tmp_path)
    end = time.time() + 0.6
    while time.time() < end:
        await rig.publisher.look()
    assert (tmp_path / "map").read_text() == f"{HERE}|joe@example.com\n"
