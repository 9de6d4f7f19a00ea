import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.core.penalties import Penalty
from submission.state import Entry
from submission.state.penalties import PENALTY, PenaltyTable
from submission.state.sqlite import SqliteState

ADDRESS = "192.0.2.50"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    state = SqliteState(tmp_path / "state.db")
    yield state
    state.close()


@pytest.fixture
def table(state: SqliteState) -> PenaltyTable:
    return PenaltyTable(state, b"key")


@pytest.fixture
def elsewhere(tmp_path: Path, table: PenaltyTable) -> Iterator[PenaltyTable]:
    """The table of another worker."""
    other = SqliteState(tmp_path / "state.db")
    yield PenaltyTable(other, b"key")
    other.close()


async def test_failures_by_one_worker_delay_at_the_other(table: PenaltyTable, elsewhere: PenaltyTable) -> None:
    assert (await elsewhere.standing(ADDRESS, "alice")).is_clean
    for number in range(3):
        await table.fail(ADDRESS, "alice", f"guess{number}")
    assert (await elsewhere.standing(ADDRESS, "bob")).delay == 4.0
    standing = await elsewhere.standing("192.0.2.51", "alice")
    assert (standing.delay, standing.is_clean) == (0.0, False)
    assert (await elsewhere.standing("192.0.2.51", "bob")).is_clean


async def test_an_address_is_refused_at_the_thirtieth_guess_and_a_user_is_not(
    table: PenaltyTable, elsewhere: PenaltyTable
) -> None:
    for number in range(30):
        assert not (await elsewhere.standing(ADDRESS, "")).is_refused
        await table.fail(ADDRESS, "alice", f"guess{number}")
    assert (await elsewhere.standing(ADDRESS, "")).is_refused
    other = await elsewhere.standing("192.0.2.51", "alice")
    assert (other.is_refused, other.delay) == (False, 15.0)


async def test_the_same_wrong_password_again_adds_nothing(table: PenaltyTable) -> None:
    for _ in range(40):
        await table.fail(ADDRESS, "alice", "old password")
    assert (await table.standing(ADDRESS, "alice")).delay == 1.0


async def test_a_success_takes_back_its_own(table: PenaltyTable, elsewhere: PenaltyTable) -> None:
    for number in range(5):
        await table.fail(ADDRESS, "alice", f"guess{number}")
    await elsewhere.succeed(ADDRESS, "alice")
    assert (await table.standing(ADDRESS, "alice")).is_clean
    await table.fail(ADDRESS, "bob", "guess")
    await table.succeed(ADDRESS, "alice")
    assert (await elsewhere.standing(ADDRESS, "")).delay == 1.0


async def test_an_admin_clears(table: PenaltyTable, elsewhere: PenaltyTable) -> None:
    await table.fail(ADDRESS, "alice", "guess")
    assert set(elsewhere.penalties()) == {f"address {ADDRESS}", f"user {table.digest('alice')}"}
    elsewhere.clear([f"address {ADDRESS}"])
    assert set(table.penalties()) == {f"user {table.digest('alice')}"}
    assert (await table.standing(ADDRESS, "")).is_clean


def test_neither_names_nor_passwords_are_in_the_file(table: PenaltyTable, state: SqliteState, tmp_path: Path) -> None:
    asyncio.run(table.fail(ADDRESS, "alice", "tanstaaf"))
    state.close()
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert b"alice" not in content
        assert b"tanstaaf" not in content
    assert PenaltyTable(state, b"other").digest("alice") != table.digest("alice")


async def test_of_very_many_the_lasting_ones_stay_in_memory(state: SqliteState) -> None:
    table = PenaltyTable(state, b"key", limit=10)
    for number in range(3):
        await table.fail(ADDRESS, "", f"guess{number}")
    for number in range(40):
        await table.fail(f"198.51.100.{number}", "", "guess")
    assert len(table.penalties()) <= 10
    assert (await table.standing(ADDRESS, "")).delay == 4.0


async def test_an_entry_that_is_not_of_our_making_is_none(table: PenaltyTable, state: SqliteState) -> None:
    for value in ("", "[]", "{}", "[1]", '["x",1,1,[]]', "[1e999,1e20,1,[]]", "[1,1,1,[1]]", "null"):
        entry = Entry(f"address {ADDRESS}", value, time.time() + 60)
        state.change(lambda transaction, entry=entry: transaction.put(PENALTY, entry))  # type: ignore[misc]
        standing = await table.standing(ADDRESS, "")
        assert not standing.is_refused
    await table.fail(ADDRESS, "", "guess")
    assert isinstance(table.penalties()[f"address {ADDRESS}"], Penalty)
