import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from submission.state import NOTICED, Entry, State, StateUnavailableError, Transaction, read_changes
from submission.state.sqlite import SqliteState

NOW = time.time()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def state(path: Path) -> Iterator[SqliteState]:
    state = SqliteState(path)
    yield state
    state.close()


def put(state: State, key: str, value: str = "x", until: float = NOW + 7200) -> None:
    state.change(lambda transaction: transaction.put("kind", Entry(key, value, until)))


def test_what_was_put_is_there_for_others_and_after_a_restart(state: SqliteState, path: Path) -> None:
    put(state, "a", "1")
    other = SqliteState(path)
    revision, entries = read_changes(other, "kind")
    assert (revision.number, entries) == (1, [Entry("a", "1", NOW + 7200)])
    assert read_changes(other, "another") == (revision, [])
    assert other.change(lambda transaction: transaction.get("kind", "a")) == Entry("a", "1", NOW + 7200)
    other.close()


def test_a_reader_gets_what_is_new_and_sees_what_was_removed(state: SqliteState) -> None:
    put(state, "a")
    put(state, "b")
    revision, _ = read_changes(state, "kind")
    assert read_changes(state, "kind", revision) == (revision, [])
    put(state, "a", "2")
    state.change(lambda transaction: transaction.remove("kind", "b"))
    revision, entries = read_changes(state, "kind", revision)
    assert [(entry.key, entry.value, entry.until > time.time()) for entry in entries] == [
        ("a", "2", True),
        ("b", "", False),
    ]


def test_a_change_that_fails_changes_nothing(state: SqliteState) -> None:
    def change(transaction: Transaction) -> None:
        transaction.put("kind", Entry("a", "1", NOW))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        state.change(change)
    revision, entries = read_changes(state, "kind")
    assert (revision.number, entries) == (0, [])
    put(state, "b")
    assert [entry.key for entry in read_changes(state, "kind")[1]] == ["b"]


def test_parallel_changes_count_each(path: Path) -> None:
    def add(state: SqliteState) -> None:
        for _ in range(50):
            state.change(increment)

    def increment(transaction: Transaction) -> None:
        entry = transaction.get("kind", "counter")
        transaction.put("kind", Entry("counter", str(int(entry.value) + 1 if entry else 1), NOW))

    states = [SqliteState(path) for _ in range(4)]
    threads = [threading.Thread(target=add, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_changes(states[0], "kind")[1] == [Entry("counter", "200", NOW)]
    for state in states:
        state.close()


def test_many_processes_may_begin_it_at_once(path: Path) -> None:
    program = "import sys; from pathlib import Path; from submission.state.sqlite import SqliteState as S; " + (
        "sys.stdin.readline(); S(Path(sys.argv[1])).close()"
    )
    command = [sys.executable, "-c", program, str(path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(8)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(30) for process in processes] == [0] * 8


def test_a_sweep_drops_what_has_ended_and_later_what_was_removed(state: SqliteState) -> None:
    put(state, "ended", until=NOW - 1)
    put(state, "good", until=NOW + 2 * NOTICED)
    put(state, "removed")
    state.change(lambda transaction: transaction.remove("kind", "removed"))
    state.sweep(time.time())
    assert {entry.key for entry in read_changes(state, "kind")[1]} == {"removed", "good"}
    state.sweep(time.time() + NOTICED + 60)
    assert {entry.key for entry in read_changes(state, "kind")[1]} == {"good"}


def test_a_version_changes_with_each_change_and_is_none_while_that_could_not_be_told(
    state: SqliteState, path: Path
) -> None:
    put(state, "a")
    assert state.version() is None
    for name in (path, Path(f"{path}-wal")):
        os.utime(name, (NOW - 10, NOW - 10))
    version = state.version()
    assert version is not None
    assert state.version() == version
    put(state, "a", "2")
    assert state.version() != version


def test_the_file_is_its_folder_owner_s_alone(state: SqliteState, path: Path) -> None:
    put(state, "a")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_damaged_file_is_put_aside(path: Path, logged: Callable[[], list[dict[str, object]]]) -> None:
    octets = b"no database at all, but long enough to be taken for one" * 100
    path.write_bytes(octets)
    state = SqliteState(path)
    put(state, "a")
    assert [line["event"] for line in logged()] == ["state-damaged"]
    assert path.with_name("state.db.damaged").read_bytes() == octets
    assert [entry.key for entry in read_changes(state, "kind")[1]] == ["a"]
    state.close()


def test_a_file_that_was_removed_is_made_anew(state: SqliteState, path: Path) -> None:
    put(state, "a")
    revision, _ = read_changes(state, "kind")
    for file in path.parent.iterdir():
        file.unlink()
    for key in "bcd":
        put(state, key)
    now, entries = read_changes(state, "kind", revision)
    assert now.making != revision.making
    assert [entry.key for entry in entries] == ["b", "c", "d"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailableError, match=r"nowhere/state\.db: No such file"):
        SqliteState(tmp_path / "nowhere" / "state.db")


def test_a_writer_that_holds_on_is_told(path: Path, state: SqliteState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submission.state.sqlite.BUSY_TIMEOUT", 0.01)
    waiting = SqliteState(path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailableError, match="locked"):
            put(waiting, "a")
        other.execute("COMMIT")
    waiting.close()
    other.close()


def test_a_full_disk_is_told_as_such_and_waited_out(state: SqliteState, path: Path) -> None:
    put(state, "a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("state.db-wal").stat().st_size, hard))
    try:
        with pytest.raises(StateUnavailableError, match=r"state\.db: (disk I/O error|database or disk is full)"):
            put(state, "b", "x" * (8 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    put(state, "c")
    assert [entry.key for entry in read_changes(state, "kind")[1]] == ["a", "c"]


def test_who_reads_does_not_wait_for_one_of_us_who_writes(state: SqliteState) -> None:
    put(state, "a", "1")
    begun, may_end = threading.Event(), threading.Event()

    def change(_: Transaction) -> None:
        begun.set()
        assert may_end.wait(20)

    writer = threading.Thread(target=state.change, args=(change,))
    writer.start()
    assert begun.wait(20)
    _, entries = read_changes(state, "kind")
    assert not may_end.is_set()
    assert [entry.key for entry in entries] == ["a"]
    may_end.set()
    writer.join()


def test_a_writer_that_is_killed_leaves_all_of_a_change_or_nothing(path: Path) -> None:
    program = """
import sys
from pathlib import Path
from submission.state import Entry
from submission.state.sqlite import SqliteState
state = SqliteState(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    def change(transaction):
        for key in "abc":
            transaction.put("kind", Entry(key, str(number), 0))
    state.change(change)
    print(number, flush=True)
"""
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(20)]
            process.kill()
        state = SqliteState(path)
        values = {int(entry.value) for entry in read_changes(state, "kind")[1]}
        assert len(values) == 1
        assert values.pop() >= int(said[-1])
        state.close()
