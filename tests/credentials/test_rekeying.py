import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from submission.core.account_files import Account
from submission.core.addresses import Login
from submission.credentials.accounts import SECRET, set_password
from submission.credentials.database import DatabaseStore
from submission.credentials.importing import Importer
from submission.credentials.key_file import KeyFile
from submission.credentials.rekeying import rekey
from submission.credentials.sealing import Sealer
from submission.credentials.store import Change, Record, StoreUnavailableError

LOGINS = [Login(f"user{number}", "example.com") for number in range(30)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.key"


@pytest.fixture
def store(path: Path) -> Iterator[DatabaseStore]:
    """Thirty logins with secrets, and one without."""
    sealer = Sealer.from_file(path)
    with closing(DatabaseStore(path.with_name("users.db"))) as store:
        for login in LOGINS:
            secret = sealer.seal(login.user, login, SECRET)
            store.change(login, lambda _, login=login, secret=secret: Record(login, "hash", secret))  # type: ignore[misc]
        store.change(Login("x", "y"), lambda _: Record(Login("x", "y"), "hash"))
        yield store


def opened(store: DatabaseStore, sealer: Sealer) -> list[str]:
    return [sealer.open(record.secret, record.login, SECRET) for record in store.records() if record.secret]


def test_everything_is_sealed_by_a_new_key_and_the_old_one_is_gone(store: DatabaseStore, path: Path) -> None:
    (before,) = KeyFile(path).read()
    heard: list[tuple[int, int]] = []
    assert rekey(store, path, lambda number, total: heard.append((number, total))) == 30
    (after,) = KeyFile(path).read()
    assert before != after
    assert sorted(opened(store, Sealer.from_file(path))) == sorted(login.user for login in LOGINS)
    assert heard[0] == (0, 30)
    assert heard[-1] == (30, 30)
    assert rekey(store, path, lambda *_: None) == 30  # each call makes a new one


def test_who_was_there_before_goes_on(store: DatabaseStore, path: Path) -> None:
    sealer = Sealer.from_file(path)
    old = sealer.seal("old", LOGINS[0], SECRET)
    rekey(store, path, lambda *_: None)
    assert len(opened(store, sealer)) == 30
    assert sealer.open(old, LOGINS[0], SECRET) == "old"  # what it read before and opens later
    assert Sealer.from_file(path).open(sealer.seal("new", LOGINS[0], SECRET), LOGINS[0], SECRET) == "new"
    with pytest.raises(StoreUnavailableError):
        Sealer.from_file(path).open(old, LOGINS[0], SECRET)


def test_one_that_was_interrupted_goes_on_where_it_was(store: DatabaseStore, path: Path) -> None:
    class Enough(Exception):  # noqa: N818
        pass

    def stop(number: int, _total: int) -> None:
        if number == 10:
            raise Enough

    with pytest.raises(Enough):
        rekey(store, path, stop)
    keys = KeyFile(path).read()
    assert len(keys) == 2
    assert len(opened(store, Sealer.from_file(path))) == 30
    assert rekey(store, path, lambda *_: None) == 20
    assert list(KeyFile(path).read()) == list(keys)[:1]


def test_one_that_is_killed_leaves_every_secret_readable(store: DatabaseStore, path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from submission.credentials.rekeying import rekey;"
        "from submission.credentials.database import DatabaseStore as S; p = Path(sys.argv[1]);"
        "rekey(S(p.with_name('users.db')), p, lambda n, t: print(n, flush=True))"
    )
    for stop in (0, 3, 12):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(stop + 1):
                process.stdout.readline()
            process.kill()
        assert len(opened(store, Sealer.from_file(path))) == 30
    rekey(store, path, lambda *_: None)
    assert len(KeyFile(path).read()) == 1


ALICE = Login("alice", "example.com")


class OvertakenStore(DatabaseStore):
    """A store of whose transactions each begins only after a whole rekey by somebody else."""

    def change(self, login: Login, change: Change) -> None:
        path = self._path
        with closing(DatabaseStore(path)) as store:
            rekey(store, path.with_name("store.key"), lambda *_: None)
        super().change(login, change)


def test_a_password_that_is_set_while_keys_change_is_not_lost(store: DatabaseStore, path: Path) -> None:
    with closing(OvertakenStore(path.with_name("users.db"))) as overtaken:
        set_password(overtaken, Sealer.from_file(path), ALICE, "sesame", may_create=True, keep_secret=True)
    record = store.read(ALICE)
    assert record is not None
    assert Sealer.from_file(path).open(record.secret, ALICE, SECRET) == "sesame"


def test_an_import_while_keys_change_loses_nothing(store: DatabaseStore, path: Path) -> None:
    with closing(OvertakenStore(path.with_name("users.db"))) as overtaken:
        importer = Importer(
            overtaken, Sealer.from_file(path), "example.com", may_replace=False, keep_secret=True, is_dry=False
        )
        list(importer.take([Account("line 1", "alice", password="sesame")]))
    record = store.read(ALICE)
    assert record is not None
    assert Sealer.from_file(path).open(record.secret, ALICE, SECRET) == "sesame"


def test_a_rekey_waits_for_who_is_in_a_transaction_with_the_old_key(store: DatabaseStore, path: Path) -> None:
    """The transaction has sealed its secret and not committed; a rekey that didn't wait would see no such secret."""
    sealer = Sealer.from_file(path)
    rekeying: list[threading.Thread] = []

    def change(_: Record | None) -> Record:
        record = Record(ALICE, "hash", sealer.seal("sesame", ALICE, SECRET))
        thread = threading.Thread(target=rekey, args=(other, path, lambda *_: None))
        thread.start()
        rekeying.append(thread)
        while len(KeyFile(path).read()) == 1:  # until it has its new key
            pass
        thread.join(0.3)
        assert thread.is_alive()
        return record

    with closing(DatabaseStore(path.with_name("users.db"))) as other:
        for record in list(store.records()):  # so that it finds nothing to seal anew, which would make it wait too
            store.change(record.login, lambda _: None)
        store.change(ALICE, change)
        rekeying[0].join()
    kept = store.read(ALICE)
    assert kept is not None
    assert Sealer.from_file(path).open(kept.secret, ALICE, SECRET) == "sesame"
