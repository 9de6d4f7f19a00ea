import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from submission.core.grants import Grant
from submission.state import NOTICED, Entry, Revision, StateUnavailableError, Take
from submission.state.grants import GRANT, GrantTable
from submission.state.sqlite import SqliteState

NOW = time.time()  # when the tests were loaded, which may be a while ago
DAY = 86400
JOE = Grant("192.0.2.50", "joe@example.com", "pop3", "dovecot", NOW, NOW, NOW + DAY)
EVE = Grant("2001:db8::50", "eve@example.com", "imap", "courier", NOW, NOW, NOW + DAY)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    state = SqliteState(tmp_path / "state.db")
    yield state
    state.close()


@pytest.fixture
def elsewhere(tmp_path: Path, state: SqliteState) -> Iterator[GrantTable]:
    """The table of another process."""
    other = SqliteState(tmp_path / "state.db")
    yield GrantTable(other)
    other.close()


def settle(folder: Path) -> None:
    """Have the files be older than they are."""
    for name in folder.glob("state.db*"):
        os.utime(name, (NOW - 10, NOW - 10))


class Unreadable(SqliteState):
    """One that can be written, and not read afterwards: the disk had room for that and no more."""

    def changes(self, kind: str, since: Revision | None, take: Take) -> Revision:
        raise StateUnavailableError("disk I/O error")


def test_what_was_stored_is_not_said_to_have_failed(state: SqliteState, tmp_path: Path) -> None:
    """Or else it is stored again, and the login counts twice."""
    unreadable = Unreadable(tmp_path / "state.db")
    assert GrantTable(unreadable).record([JOE], {"mail.log": "1"}) == [JOE]
    unreadable.close()
    assert GrantTable(state).grants() == [JOE]


async def test_a_login_is_a_grant_for_every_process_at_once(
    state: SqliteState, elsewhere: GrantTable, tmp_path: Path
) -> None:
    table = GrantTable(state)
    assert await elsewhere.find("192.0.2.50") is None
    assert table.record([JOE, EVE]) == [JOE, EVE]
    assert await elsewhere.find("192.0.2.50") == JOE
    assert await elsewhere.find("2001:db8::50") == EVE
    assert await elsewhere.find("192.0.2.51") is None
    settle(tmp_path)
    assert await elsewhere.find("192.0.2.50") == JOE
    table.remove([JOE])
    assert await elsewhere.find("192.0.2.50") is None


async def test_while_nothing_changed_the_state_is_not_read(
    state: SqliteState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = GrantTable(state)
    table.record([JOE])
    settle(tmp_path)
    assert await table.find("192.0.2.50") == JOE

    def read(kind: str, since: Revision | None) -> tuple[Revision, list[Entry]]:
        raise AssertionError

    monkeypatch.setattr(state, "changes", read)
    assert await table.find("192.0.2.50") == JOE


def test_logins_renew_in_one_batch_and_over_batches(state: SqliteState) -> None:
    table = GrantTable(state)
    later = replace(JOE, last=NOW + 5, until=NOW + DAY + 5)
    table.record([JOE, later])
    (stored,) = table.record([replace(JOE, last=NOW + 9, until=NOW + DAY - 100, protocol="imap")])
    assert stored == replace(JOE, last=NOW + 9, until=NOW + DAY + 5, logins=3, protocol="imap")
    assert table.grants() == [stored]


async def test_what_ended_is_no_grant_and_its_next_login_knows_since_when(state: SqliteState) -> None:
    table = GrantTable(state)
    table.record([replace(JOE, first=NOW - 4000, last=NOW - 4000, until=NOW - 2000)])
    assert await table.find("192.0.2.50") is None
    assert table.grants() == []
    (stored,) = table.record([JOE])
    assert (stored.first, stored.until, stored.logins) == (NOW - 4000, NOW + DAY, 2)


def test_positions_are_stored_with_the_logins_that_were_read_up_to_them(
    state: SqliteState, elsewhere: GrantTable
) -> None:
    table = GrantTable(state)
    assert table.positions() == {}
    table.record([JOE], {"/var/log/mail.log": "1:2:3"})
    table.record([], {"/var/log/mail.log": "1:2:9", "journal": "s=1"})
    assert elsewhere.positions() == {"/var/log/mail.log": "1:2:9", "journal": "s=1"}


def test_a_full_table_is_full_in_the_state_too(state: SqliteState, elsewhere: GrantTable) -> None:
    table = GrantTable(state, limit=2)
    grants = [replace(JOE, address=f"192.0.2.{number}", until=NOW + DAY + number) for number in range(3)]
    table.record(grants)
    assert {grant.address for grant in elsewhere.grants()} == {"192.0.2.1", "192.0.2.2"}


def test_a_state_that_was_begun_anew_has_no_old_grants(
    state: SqliteState, elsewhere: GrantTable, tmp_path: Path
) -> None:
    table = GrantTable(state)
    table.record([JOE])
    assert table.grants() == elsewhere.grants() == [JOE]
    for file in tmp_path.glob("state.db*"):
        file.unlink()
    for _ in range(3):
        table.record([EVE])
    assert [grant.user for grant in table.grants()] == ["eve@example.com"]
    assert [grant.user for grant in elsewhere.grants()] == ["eve@example.com"]


def test_a_reader_that_slept_for_days_begins_anew(
    state: SqliteState, elsewhere: GrantTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = GrantTable(state)
    table.record([replace(JOE, until=NOW + 30 * NOTICED)])
    assert len(elsewhere.grants()) == 1
    table.remove([JOE])
    state.sweep(NOW + 2 * NOTICED)  # what was removed can't be seen any more
    monkeypatch.setattr(time, "time", lambda: NOW + 2 * NOTICED)
    assert elsewhere.grants() == []


def test_an_entry_that_is_not_of_our_making_grants_nothing(state: SqliteState) -> None:
    table = GrantTable(state)
    for value in ("", "x", "[]", "{}", "[1,2,3]", '["pop3","x","a",1,1]'):
        state.change(lambda transaction, value=value: transaction.put(GRANT, Entry("192.0.2.9 x", value, NOW + DAY)))  # type: ignore[misc]
        assert table.grants() == []


async def test_how_much_a_user_relies_on_it_is_remembered_when_the_grants_have_gone(
    state: SqliteState, elsewhere: GrantTable
) -> None:
    table = GrantTable(state)
    table.record([replace(JOE, until=NOW - 1), EVE])
    table.record([replace(JOE, address="192.0.2.51", first=NOW - 50, last=NOW + 7, protocol="imap", server="courier")])
    elsewhere.note_message("joe@example.com")
    elsewhere.note_message("joe@example.com")
    await elsewhere.note_authentication("eve@example.com")
    await elsewhere.note_authentication("stranger@example.com")
    elsewhere.note_message("stranger@example.com")
    state.sweep(NOW + 2 * NOTICED)
    joe, eve = table.reliances()
    assert (joe.user, joe.first, joe.last, joe.logins) == ("joe@example.com", NOW - 50, NOW + 7, 2)
    assert (joe.protocol, joe.server, joe.messages, joe.authenticated) == ("imap", "courier", 2, 0)
    assert joe.last_message >= NOW
    assert (eve.user, eve.messages, eve.last_message) == ("eve@example.com", 0, 0)
    assert eve.authenticated >= NOW


def test_an_older_login_that_is_seen_later_is_not_the_last_one(state: SqliteState) -> None:
    table = GrantTable(state)
    table.record([JOE])
    table.record([replace(JOE, first=NOW - 50, last=NOW - 50, protocol="import", server="")])
    (joe,) = table.reliances()
    assert (joe.first, joe.last, joe.logins, joe.protocol, joe.server) == (NOW - 50, NOW, 2, JOE.protocol, JOE.server)


async def test_a_clock_that_was_years_ahead_leaves_no_grant_for_years(state: SqliteState, tmp_path: Path) -> None:
    table, later = GrantTable(state), 3650 * DAY
    table.record([replace(JOE, first=NOW + later, last=NOW + later, until=NOW + later + DAY)])
    assert await table.find(JOE.address) is None
    assert table.grants() == []
    assert table.record([JOE]) == [JOE]  # and the next login is one like any other
    assert await table.find(JOE.address) == JOE
    assert table.grants() == [JOE]
    table.record([replace(JOE, last=NOW + 1800, until=NOW + DAY)])  # it was half an hour ahead
    assert await table.find(JOE.address) is not None
