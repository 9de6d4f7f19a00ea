"""The store in a file with several processes at it, and with one of them killed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from submission.core.addresses import Login
from submission.credentials.database import DatabaseStore
from submission.credentials.store import Record
from tests.support.processes import next_line, ready, release, run_together

ALICE = Login("alice", "example.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


@pytest.fixture
def store(path: Path) -> Iterator[DatabaseStore]:
    with closing(DatabaseStore(path)) as store:
        yield store


def keep(store: DatabaseStore, record: Record) -> None:
    store.change(record.login, lambda _: record)


def read_all(path: Path) -> list[Record]:
    with closing(DatabaseStore(path)) as store:
        return list(store.records())


WRITER = """
import sys
from pathlib import Path
from submission.core.addresses import Login
from submission.credentials.database import DatabaseStore
from submission.credentials.store import Record

def grown(record):
    return Record(record.login if record else shared, (record.password if record else "") + sys.argv[2])

shared = Login("shared", "example.com")
print("ready", flush=True)
input()
store = DatabaseStore(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    login = Login(f"user-{sys.argv[2]}-{number}", "example.com")
    store.change(login, lambda _: Record(login, "hash", "sealed"))
    store.change(shared, grown)
"""


def test_parallel_writers_of_a_new_store_lose_nothing(path: Path) -> None:
    """Each adds accounts of its own and a letter to one that all of them change."""
    run_together(WRITER, [[str(path), letter, "15"] for letter in "abcdefgh"])
    records = {str(record.login): record for record in read_all(path)}
    shared = records.pop("shared@example.com")
    assert sorted(shared.password) == sorted("abcdefgh" * 15)
    assert set(records) == {f"user-{letter}-{number}@example.com" for letter in "abcdefgh" for number in range(15)}
    assert {(record.password, record.secret) for record in records.values()} == {("hash", "sealed")}


FIRST_USE = """
import sys
from pathlib import Path
from submission.credentials.database import DatabaseStore
print("ready", flush=True)
input()
print(list(DatabaseStore(Path(sys.argv[1])).records()))
"""


def test_processes_that_use_it_first_at_once_all_can(path: Path) -> None:
    assert run_together(FIRST_USE, [[str(path)]] * 8) == ["[]\n"] * 8


HELD = """
import sys
from pathlib import Path
from submission.core.addresses import Login
from submission.credentials.database import DatabaseStore
from submission.credentials.store import Record
store, login = DatabaseStore(Path(sys.argv[1])), Login("alice", "example.com")
print("ready", flush=True)
input()

def hold(_):
    print("changing", flush=True)
    input()

store.change(login, hold)
"""


def test_a_writer_killed_in_its_transaction_leaves_the_old_record(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, "hash", "sealed"))
    with ready(HELD, str(path)) as writer:
        release(writer)
        assert next_line(writer) == "changing"
        assert store.read(ALICE) == Record(ALICE, "hash", "sealed")
        writer.kill()
        writer.wait()
    assert store.read(ALICE) == Record(ALICE, "hash", "sealed")
    keep(store, Record(ALICE, "new"))
    assert store.read(ALICE) == Record(ALICE, "new")


RESTLESS = """
import itertools, sys
from pathlib import Path
from submission.core.addresses import Login
from submission.credentials.database import DatabaseStore
from submission.credentials.store import Record
store, login = DatabaseStore(Path(sys.argv[1])), Login("alice", "example.com")
print("ready", flush=True)
input()
for number in itertools.count():
    text = str(number) * 3000  # more than a page of the file
    store.change(login, lambda _: Record(login, text, text))
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_the_old_record_or_the_new_one(path: Path) -> None:
    for round_number in range(8):
        with ready(RESTLESS, str(path)) as writer:
            release(writer)
            for number in range(round_number + 1):
                assert next_line(writer) == str(number)
            writer.kill()
            told = [int(line) for line in writer.stdout or () if line.endswith("\n")]
            writer.wait()
        last = told[-1] if told else round_number
        [record] = read_all(path)
        assert record.password == record.secret
        assert record.password in (str(last) * 3000, str(last + 1) * 3000)
