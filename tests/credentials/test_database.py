"""The store in a file, with others that change, replace or break it; test_database_processes.py has the crowd."""

import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.addresses import Login
from submission.core.app_passwords import AppPassword
from submission.core.sasl import Need
from submission.credentials.database import DatabaseStore, warm_up
from submission.credentials.store import Record, StoreUnavailableError
from tests.support.network import PATIENCE

ALICE = Login("alice", "example.com")
BOB = Login("bob", "example.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


@pytest.fixture
def store(path: Path) -> Iterator[DatabaseStore]:
    store = DatabaseStore(path)
    yield store
    store.close()


def keep(store: DatabaseStore, record: Record) -> None:
    store.change(record.login, lambda _: record)


def keep_apart(path: Path, record: Record) -> None:
    """As another process would: by a store of its own."""
    with closing(DatabaseStore(path)) as store:
        keep(store, record)


def read_all(path: Path) -> list[Record]:
    with closing(DatabaseStore(path)) as store:
        return list(store.records())


TEXTS = st.text(st.characters(exclude_categories=["C"]), max_size=30)
RECORDS = st.builds(
    Record,
    st.builds(Login, TEXTS.filter(bool), TEXTS.filter(bool)),
    password=TEXTS,
    secret=TEXTS,
    scram_sha_256=TEXTS,
    scram_sha_1=TEXTS,
    is_disabled=st.booleans(),
).filter(lambda record: record.is_disabled or any(map(record.value, Need)))


@given(st.lists(RECORDS, max_size=5, unique_by=lambda record: record.login))
def test_keeps_what_it_is_given_in_order_of_realm_and_user(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    with closing(DatabaseStore(tmp_path_factory.mktemp("state") / "users.db")) as store:
        for record in records:
            keep(store, record)
        assert [store.read(record.login) for record in records] == records
        in_order = sorted(records, key=lambda record: (record.login.realm.encode(), record.login.user.encode()))
        assert list(store.records()) == in_order
        for record in records:
            store.change(record.login, lambda _: None)
            assert store.read(record.login) is None
        assert list(store.records()) == []


def test_a_change_sees_what_is_kept_and_replaces_all_of_it(store: DatabaseStore) -> None:
    seen: list[Record | None] = []

    def set_to(record: Record) -> Callable[[Record | None], Record]:
        def change(before: Record | None) -> Record:
            seen.append(before)
            return record

        return change

    first, second = Record(ALICE, "hash", "sealed", is_disabled=True), Record(ALICE, "other")
    store.change(ALICE, set_to(first))
    store.change(ALICE, set_to(second))
    assert seen == [None, first]
    assert store.read(ALICE) == second


def test_a_change_that_fails_changes_nothing_and_holds_nobody_up(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, "hash"))

    def fail(_: Record | None) -> Record:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.change(ALICE, fail)
    assert store.read(ALICE) == Record(ALICE, "hash")
    keep_apart(path, Record(ALICE, "other"))
    assert store.read(ALICE) == Record(ALICE, "other")


def test_names_are_compared_exactly(store: DatabaseStore) -> None:
    keep(store, Record(ALICE, "hash"))
    for user, realm in (("Alice", "example.com"), ("alice", "Example.com"), ("alic_", "example.com"), ("%", "%")):
        assert store.read(Login(user, realm)) is None


def test_a_login_without_its_app_passwords(store: DatabaseStore) -> None:
    record = Record(ALICE, "hash", "sealed", "keys", "older keys", is_disabled=True)
    keep(store, replace(record, app_passwords=(AppPassword("printer", "digest"), AppPassword("a_%", "digest"))))
    assert store.read_own(ALICE) == record
    assert store.read(ALICE) != record
    assert store.read_own(BOB) is None


def test_who_is_disabled(store: DatabaseStore) -> None:
    assert list(store.disabled()) == []
    for login in (ALICE, BOB):
        keep(store, Record(login, "hash", is_disabled=True))
    assert sorted(store.disabled(), key=str) == [ALICE, BOB]
    keep(store, Record(ALICE, "hash"))
    store.change(BOB, lambda _: None)
    assert list(store.disabled()) == []


def test_no_secret_is_in_a_record_s_repr(store: DatabaseStore) -> None:
    keep(store, Record(ALICE, "hash", "sealed"))
    assert repr(store.read(ALICE)) == f"Record(login={ALICE!r}, is_disabled=False, app_passwords=())"


@pytest.mark.parametrize("name", ["a?mode=ro", "a%41", "file:a", "a b#c", "\u00e4"])
def test_the_file_has_the_name_that_it_was_given(tmp_path: Path, name: str) -> None:
    keep_apart(tmp_path / name, Record(ALICE, "hash"))
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keep_apart(tmp_path / "users.db", Record(ALICE, "hash"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "users.db").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    shutil.chown(tmp_path, "nobody")
    store = DatabaseStore(tmp_path / "users.db")
    owners = []

    def change(_: Record | None) -> Record:
        store_files = list(tmp_path.iterdir())
        owners.extend((file.name, file.owner(), stat.S_IMODE(file.stat().st_mode)) for file in store_files)
        return Record(ALICE, "hash")

    store.change(ALICE, change)
    store.close()
    assert ("users.db", "nobody", 0o600) in owners
    assert {(owner, mode) for _, owner, mode in owners} == {("nobody", 0o600)}
    assert (tmp_path / "users.db").stat().st_gid == tmp_path.stat().st_gid


def test_another_s_change_is_seen_by_the_next_read(store: DatabaseStore, path: Path) -> None:
    for number in range(3):
        keep_apart(path, Record(ALICE, f"hash {number}"))
        assert store.read(ALICE) == Record(ALICE, f"hash {number}")


def test_a_file_that_was_replaced_is_read_from_then_on(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, "before"))
    for number in range(3):
        fresh = path.with_name("fresh.db")
        keep_apart(fresh, Record(BOB, f"hash {number}"))
        fresh.replace(path)
        assert store.read(ALICE) is None
        assert store.read(BOB) == Record(BOB, f"hash {number}")
        keep(store, Record(ALICE, "written after"))
        assert set(read_all(path)) == {Record(BOB, f"hash {number}"), Record(ALICE, "written after")}


def test_a_replaced_file_is_seen_by_every_thread(store: DatabaseStore, path: Path) -> None:
    for number in range(20):
        fresh = path.with_name("fresh.db")
        keep_apart(fresh, Record(ALICE, f"hash {number}"))
        fresh.replace(path)
        barrier, seen = threading.Barrier(4), []

        def look(barrier: threading.Barrier = barrier, seen: list[Record | None] = seen) -> None:
            barrier.wait(PATIENCE)
            seen.append(store.read(ALICE))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert seen == [Record(ALICE, f"hash {number}")] * 4


def test_a_file_that_went_away_is_missed_and_found_again(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, "hash"))
    away = path.rename(path.with_name("away.db"))
    with pytest.raises(StoreUnavailableError, match=r"users\.db: No such file"):
        store.read(ALICE)
    assert not path.exists()
    path.write_bytes(b"garbage" * 1000)
    path.chmod(0o600)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        store.read(ALICE)
    away.replace(path)
    assert store.read(ALICE) == Record(ALICE, "hash")


def use_each_way(path: Path) -> Iterator[Callable[[], object]]:
    yield lambda: keep_apart(path, Record(ALICE))
    yield lambda: read_all(path)


def test_what_is_no_store_is_trouble_with_the_store(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"garbage" * 1000)
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "garbage", "loop", "missing/users.db", "garbage/users.db"):
        for use in use_each_way(tmp_path / name):
            with pytest.raises(StoreUnavailableError, match=f"^{tmp_path / name}: "):
                use()
    assert (tmp_path / "garbage").read_bytes() == b"garbage" * 1000


def test_a_table_of_another_form_is_trouble_with_the_store(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE credentials (something)")
    connection.close()
    path.chmod(0o600)
    for use in use_each_way(path):
        with pytest.raises(StoreUnavailableError, match=r"no such column|has no column"):
            use()


def test_a_file_that_breaks_while_it_is_used_is_trouble_with_the_store(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, "hash"))
    with path.open("r+b") as file:
        file.write(b"garbage" * 1000)
    with pytest.raises(StoreUnavailableError, match=r"users\.db: "):
        store.read(ALICE)


def test_a_writer_who_waits_too_long_is_told(store: DatabaseStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submission.credentials.database.BUSY_TIMEOUT", 0.01)
    impatient = DatabaseStore(path)

    def change(_: Record | None) -> Record:
        with pytest.raises(StoreUnavailableError, match="locked"):
            keep(impatient, Record(BOB, "hash"))
        assert impatient.read(BOB) is None  # reading is possible all the while
        return Record(ALICE, "hash")

    store.change(ALICE, change)
    impatient.close()


def test_warming_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    warm_up()
    assert list(tmp_path.iterdir()) == []


def settle(path: Path, seconds: float = 60) -> None:
    """Let the file have been written so long ago."""
    status = path.stat()
    os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


def test_a_version_stays_as_long_as_nothing_is_written(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, password="hash"))
    settle(path)
    version = store.version()
    assert version is not None
    store.read(ALICE)
    list(store.records())
    assert store.version() == version


def test_what_was_written_just_now_has_no_version(store: DatabaseStore) -> None:
    keep(store, Record(ALICE, password="hash"))
    assert store.version() is None


@pytest.mark.parametrize("by", [keep, lambda store, record: keep_apart(store._path, record)], ids=["own", "other"])
def test_every_change_ends_a_version(
    store: DatabaseStore, path: Path, by: Callable[[DatabaseStore, Record], None]
) -> None:
    keep(store, Record(ALICE, password="hash"))
    settle(path)
    version = store.version()
    by(store, Record(ALICE, password="hasH"))
    settle(path)
    assert store.version() not in (version, None)


def test_a_file_that_is_gone_replaced_or_from_the_future_has_no_old_version(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, password="hash"))
    settle(path)
    version = store.version()
    shutil.copy2(path, path.with_name("backup"))
    path.with_name("backup").replace(path)
    assert store.version() not in (version, None)
    settle(path, -3600)
    assert store.version() is None
    path.unlink()
    assert store.version() is None


def test_a_file_in_wal_mode_has_no_version_for_a_change_may_be_beside_it(store: DatabaseStore, path: Path) -> None:
    keep(store, Record(ALICE, password="hash"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE credentials SET value = 'another'")
        connection.commit()
        settle(path)
        assert store.version() is None


@pytest.mark.parametrize("mode", [0o604, 0o606, 0o644, 0o666])
def test_a_store_that_everybody_may_use_is_refused(path: Path, mode: int) -> None:
    DatabaseStore(path).close()
    path.chmod(mode)
    with pytest.raises(StoreUnavailableError, match=f"has mode {mode:04o}, .*chmod o= it"):
        DatabaseStore(path)
    path.chmod(0o640)
    DatabaseStore(path).close()
