import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from submission.core.addresses import Login
from submission.credentials.accounts import SECRET
from submission.credentials.database import DatabaseStore
from submission.credentials.key_file import KeyFile
from submission.credentials.rekeying import rekey
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, StoreUnavailableError

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
