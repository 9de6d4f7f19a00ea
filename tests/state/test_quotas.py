import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.core.quotas import DAY, HOUR, Limit, Thing, limits_of, slot
from submission.state import Entry, StateUnavailableError, read_changes
from submission.state.quotas import RECIPIENT, REMEMBERED, USAGE, LimitReachedError, QuotaTable, Subject
from submission.state.sqlite import SqliteState

ALICE = Subject("user alice@example.com", limits_of({"messages_per_hour": 20, "recipients_per_day": 30}))
NEWCOMER = Subject("user bob@example.com", limits_of({"first_time_recipients_per_day": 2}))
MESSAGES = Thing.MESSAGES


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    state = SqliteState(tmp_path / "state.db")
    yield state
    state.close()


@pytest.fixture
def table(state: SqliteState) -> QuotaTable:
    return QuotaTable(state, b"key")


@pytest.fixture
def elsewhere(tmp_path: Path, table: QuotaTable) -> Iterator[QuotaTable]:
    """The table of another worker."""
    other = SqliteState(tmp_path / "state.db")
    yield QuotaTable(other, b"key")
    other.close()


async def send(table: QuotaTable, subject: Subject = ALICE, thing: Thing = MESSAGES) -> bool:
    try:
        await table.take(subject, thing)
    except LimitReachedError:
        return False
    return True


def used(table: QuotaTable, subject: Subject = ALICE) -> dict[str, int]:
    usage = table.usages()[subject.key]
    return {limit.name: usage.used(limit, time.time()) for limit in subject.limits}


async def test_workers_together_send_as_much_as_there_is_and_no_more(table: QuotaTable, elsewhere: QuotaTable) -> None:
    sent = await asyncio.gather(*(send(worker) for worker in (table, elsewhere) * 30))
    assert sum(sent) == 20
    assert not await send(table)


async def test_a_message_that_is_refused_uses_up_no_recipients(table: QuotaTable) -> None:
    sent = [await send(table) for _ in range(40)]
    assert sum(sent) == 20
    table.close()
    assert used(table) == {"messages_per_hour": 20, "recipients_per_day": 0}


async def test_what_was_not_sent_is_there_for_another_worker_once_it_is_handed_back(
    table: QuotaTable, elsewhere: QuotaTable
) -> None:
    taken = [await table.take(ALICE, MESSAGES) for _ in range(20)]
    for when in taken[:5]:
        table.give_back(ALICE, MESSAGES, when)
    assert not await send(elsewhere)
    assert await send(table)
    table.close()
    assert used(table)["messages_per_hour"] == 16
    assert sum([await send(elsewhere) for _ in range(20)]) == 4


async def test_what_nobody_needs_is_handed_back(table: QuotaTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):  # in a hurry, which makes it take more
        assert await send(table)
    assert used(table)["messages_per_hour"] > 4
    await table.release()
    assert used(table)["messages_per_hour"] > 4  # somebody may go on at once
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2)
    await table.release()
    assert used(table) == {"messages_per_hour": 4, "recipients_per_day": 0}


async def test_it_is_kept_over_the_end_of_a_process_whatever_that_is(table: QuotaTable, tmp_path: Path) -> None:
    for _ in range(20):
        assert await send(table)
    again = SqliteState(tmp_path / "state.db")
    assert not await send(QuotaTable(again, b"key"))
    again.close()


async def test_a_message_and_its_recipient_are_one_transaction(table: QuotaTable, tmp_path: Path) -> None:
    await table.take(ALICE, MESSAGES)
    with sqlite3.connect(tmp_path / "state.db") as database:
        before = database.execute("SELECT number FROM revision").fetchone()
        await table.take(ALICE, Thing.RECIPIENTS)
        assert database.execute("SELECT number FROM revision").fetchone() == before
    database.close()


async def test_the_refusal_says_which_limit_until_when_and_whether_it_is_news(table: QuotaTable) -> None:
    while await send(table):
        pass
    with pytest.raises(LimitReachedError) as caught:
        await table.take(ALICE, MESSAGES)
    assert caught.value.reached.limit == ALICE.limits[0]
    assert HOUR < caught.value.reached.until - time.time() + 10 < HOUR + 200
    assert not caught.value.is_news  # the first was


async def test_only_the_first_refusal_of_all_workers_is_news(table: QuotaTable, elsewhere: QuotaTable) -> None:
    news = []
    for worker in (table, elsewhere) * 20:
        try:
            await worker.take(ALICE, MESSAGES)
        except LimitReachedError as error:
            news.append(error.is_news)
    assert news == [True] + [False] * (len(news) - 1)
    assert len(news) == 20
    connections = Limit("connections", Thing.CONNECTIONS, HOUR, 1)
    assert [await worker.reach(ALICE, connections) for worker in (table, elsewhere)] == [True, False]


async def test_recipients_are_new_once_in_all_workers(table: QuotaTable, elsewhere: QuotaTable) -> None:
    await table.meet(NEWCOMER, b"Carol@test.example")
    await elsewhere.meet(NEWCOMER, b"carol@TEST.example")
    await table.meet(NEWCOMER, b"dave@test.example")
    with pytest.raises(LimitReachedError):
        await elsewhere.meet(NEWCOMER, b"erin@test.example")
    await elsewhere.meet(NEWCOMER, b"dave@test.example")
    assert used(table, NEWCOMER) == {"first_time_recipients_per_day": 2}


async def test_whom_one_user_knows_another_does_not(table: QuotaTable) -> None:
    other = Subject("user carol@example.com", NEWCOMER.limits)
    await table.meet(NEWCOMER, b"dave@test.example")
    await table.meet(other, b"dave@test.example")
    assert used(table, other) == {"first_time_recipients_per_day": 1}


def test_no_address_is_kept_that_somebody_wrote_to(table: QuotaTable, state: SqliteState, tmp_path: Path) -> None:
    asyncio.run(table.meet(NEWCOMER, b"dave@test.example"))
    _, kept = read_changes(state, RECIPIENT)
    assert len(kept) == 1
    state.close()
    for file in tmp_path.iterdir():
        assert b"dave" not in file.read_bytes()
        assert b"test.example" not in file.read_bytes()


async def test_a_recipient_is_forgotten_a_month_after_the_last_message(
    table: QuotaTable, elsewhere: QuotaTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()

    async def count_after(days: float, worker: QuotaTable) -> int:
        monkeypatch.setattr(time, "time", lambda: now + days * DAY)
        assert not worker.knows(NEWCOMER, b"dave@test.example")
        await worker.meet(NEWCOMER, b"dave@test.example")
        assert worker.knows(NEWCOMER, b"dave@test.example")
        return table.usages()[NEWCOMER.key].used(NEWCOMER.limits[0], time.time())

    assert await count_after(0, table) == 1
    assert await count_after(20, table) == 0
    assert await count_after(45, elsewhere) == 0
    assert await count_after(45 + REMEMBERED / DAY + 1, table) == 1


async def test_clearing_counts_in_all_workers(table: QuotaTable, elsewhere: QuotaTable) -> None:
    while await send(table):
        pass
    elsewhere.clear([ALICE.key])
    assert await send(table)
    assert ALICE.key in elsewhere.usages()


@pytest.mark.parametrize("value", ["", "nonsense", "[]", "[1,2]", '[{"messages_per_hour":{"x":1}},{}]', "[{},{},{}]"])
async def test_what_is_not_of_our_making_counts_for_nothing(table: QuotaTable, state: SqliteState, value: str) -> None:
    state.change(lambda transaction: transaction.put(USAGE, Entry(ALICE.key, value, time.time() + HOUR)))
    assert await send(table)
    assert isinstance(json.loads(read_changes(state, USAGE)[1][0].value), list)


async def test_a_state_that_cannot_be_written_takes_nothing_and_loses_nothing(
    table: QuotaTable, tmp_path: Path
) -> None:
    when = await table.take(ALICE, MESSAGES)
    table.give_back(ALICE, MESSAGES, slot(when) - 5)

    (tmp_path / "state.db").rename(tmp_path / "aside")
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StateUnavailableError):
        await table.take(ALICE, MESSAGES)
    (tmp_path / "state.db").rmdir()
    (tmp_path / "aside").rename(tmp_path / "state.db")
    assert await send(table)
    table.close()
    assert used(table)["messages_per_hour"] <= 2
