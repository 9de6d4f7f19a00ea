import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from submission.state import Entry, StateUnavailableError, Transaction, read_changes
from submission.state.batches import MAX_BATCH, Batches
from submission.state.sqlite import SqliteState


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    state = SqliteState(tmp_path / "state.db")
    yield state
    state.close()


def put(key: str) -> Callable[[Transaction], str]:
    def change(transaction: Transaction) -> str:
        transaction.put("kind", Entry(key, "value", time.time() + 60))
        return key

    return change


def fail(_: Transaction) -> str:
    raise ValueError("wrong")


def transactions(state: SqliteState) -> int:
    return read_changes(state, "kind")[0].number


async def test_each_gets_its_own_result_and_few_transactions_are_made(state: SqliteState) -> None:
    batches, before = Batches(state), transactions(state)
    keys = [str(number) for number in range(MAX_BATCH + 50)]
    assert await asyncio.gather(*(batches.change(put(key)) for key in keys)) == keys
    assert transactions(state) == before + 2
    assert {entry.key for entry in read_changes(state, "kind")[1]} == set(keys)


async def test_one_alone_is_done_at_once_and_so_is_the_next(state: SqliteState) -> None:
    batches = Batches(state)
    assert [await batches.change(put(key)) for key in "abc"] == ["a", "b", "c"]


async def test_those_that_come_meanwhile_are_done_next(state: SqliteState) -> None:
    batches = Batches(state)
    first = asyncio.ensure_future(batches.change(put("a")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await batches.change(put("b")) == "b"
    assert first.done()


async def test_a_change_that_raises_undoes_its_transaction_and_harms_no_later_one(state: SqliteState) -> None:
    batches = Batches(state)
    told = await asyncio.gather(*map(batches.change, (put("a"), fail)), return_exceptions=True)
    assert [str(each) for each in told] == ["wrong", "wrong"]
    assert read_changes(state, "kind")[1] == []
    assert await batches.change(put("b")) == "b"


async def test_who_gives_up_waiting_is_not_told(state: SqliteState) -> None:
    batches = Batches(state)
    impatient = asyncio.ensure_future(batches.change(put("a")))
    patient = asyncio.ensure_future(batches.change(put("b")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "b"
    assert {entry.key for entry in read_changes(state, "kind")[1]} == {"a", "b"}


async def test_a_state_that_cannot_be_used(state: SqliteState, tmp_path: Path) -> None:
    state.close()
    (tmp_path / "state.db").unlink()
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StateUnavailableError):
        await Batches(state).change(put("a"))
