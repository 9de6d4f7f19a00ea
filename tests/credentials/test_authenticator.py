"""Who gets in, who doesn't, and at what cost, with a store that others change at the same time."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from submission.config.vouchers import OAuth
from submission.core.addresses import Login
from submission.core.app_passwords import MAX_OF_USER, AppPassword, digest, write_out
from submission.core.sasl import Need
from submission.core.sasl.scram_keys import ScramKeys
from submission.credentials.accounts import NoSuchUserError, delete, set_disabled, set_password
from submission.credentials.authenticator import MAX_WAITING, Authenticator
from submission.credentials.database import DatabaseStore
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, StoreUnavailableError
from submission.credentials.successes import ADDRESSES, REMEMBERED_FOR
from submission.credentials.tokens import Claims, IssuerUnavailableError, TokenRefusedError, TokenVerifier

ALICE, BOB, CAROL, DAVE = (Login(user, "example.com") for user in ("alice", "bob", "carol", "dave"))
PASSWORD = "tanstaaf"
Answer = TypeVar("Answer")
SEALER = Sealer({"0a1b2c3d": bytes(range(32))})


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """alice; bob who is disabled; carol of whom no secret is kept; dave of whom no hash is."""
    path = tmp_path_factory.mktemp("accounts") / "users.db"
    store = DatabaseStore(path)
    for login in (ALICE, BOB, CAROL, DAVE):
        set_password(store, SEALER, login, PASSWORD, may_create=True, keep_secret=login != CAROL)
    set_disabled(store, BOB, is_disabled=True)
    store.change(DAVE, lambda record: record and replace(record, password=""))
    store.close()
    return path


@pytest.fixture
def path(accounts: Path, tmp_path: Path) -> Path:
    """The store that the authenticator reads."""
    return Path(shutil.copy(accounts, tmp_path / "users.db"))


@pytest.fixture
async def authenticator(path: Path) -> AsyncIterator[Authenticator]:
    authenticator = Authenticator(DatabaseStore(path), SEALER, "example.com", threads=2)
    yield authenticator
    authenticator.close()


@pytest.fixture
def store(path: Path) -> Iterator[DatabaseStore]:
    """The same store, as an admin's command opens it."""
    store = DatabaseStore(path)
    yield store
    store.close()


async def cost(question: Callable[[], Awaitable[object]], times: int = 1) -> float:
    """Seconds of CPU, the least of several times."""
    costs = []
    for _ in range(times):
        begin = time.process_time()
        await question()
        costs.append(time.process_time() - begin)
    return min(costs)


async def test_the_right_password_gives_the_login(authenticator: Authenticator) -> None:
    for name in ("alice", "alice@example.com", "\uff41lice"):
        assert await authenticator.check_password(name, PASSWORD) == ALICE
        assert await authenticator.check_password(name, "tan\u00adstaaf") == ALICE
    assert await authenticator.check_password("carol", PASSWORD) == CAROL


NOBODY = {
    "unknown": "mallory",
    "another realm": "alice@example.org",
    "disabled": "bob",
    "empty": "",
    "no user": "@example.com",
    "control": "alice\x00",
    "surrogate": "\ud800",
    "soft hyphen": "\u00ad",
    "too long": "x" * 5000,
}


@pytest.mark.parametrize("name", [*NOBODY.values(), "dave"], ids=[*NOBODY, "no hash"])
async def test_nobody_gets_in_by_a_password_and_it_takes_its_time(authenticator: Authenticator, name: str) -> None:
    for password in (PASSWORD, "", "nobody's password", "\x00", "x" * 5000):
        assert await authenticator.check_password(name, password) is None
    wrong = await cost(lambda: authenticator.check_password("alice", "wrong"), 5)
    nobody = await cost(lambda: authenticator.check_password(name, "wrong"), 5)
    assert 0.5 < nobody / wrong < 2


@pytest.mark.parametrize("password", ["", "Tanstaaf", PASSWORD + " ", PASSWORD + "\x00", "\ud800", "x" * 5000])
async def test_a_wrong_password_is_refused_also_once_the_right_one_is_remembered(
    authenticator: Authenticator, password: str
) -> None:
    assert await authenticator.check_password("alice", password) is None
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    assert await authenticator.check_password("alice", password) is None


@pytest.mark.parametrize("name", [*NOBODY.values(), "carol"], ids=[*NOBODY, "no secret"])
async def test_nobody_s_secret_is_given(authenticator: Authenticator, name: str) -> None:
    assert await authenticator.fetch_secret(name) is None


async def test_a_secret_is_given_with_its_login(authenticator: Authenticator) -> None:
    assert await authenticator.fetch_secret("alice") == (ALICE, PASSWORD.encode())
    assert await authenticator.fetch_secret("dave@example.com") == (DAVE, PASSWORD.encode())


@pytest.mark.parametrize("need", [Need.SCRAM_SHA_256, Need.SCRAM_SHA_1])
async def test_keys_are_given_with_their_login(authenticator: Authenticator, store: DatabaseStore, need: Need) -> None:
    for name, login in (("alice", ALICE), ("carol@example.com", CAROL), ("\uff41lice", ALICE)):
        record = store.read(login)
        assert record is not None
        keys = ScramKeys.parse(record.value(need))
        assert await authenticator.fetch_keys(name, need) == (login, keys)
        assert keys == ScramKeys.derive(PASSWORD.encode(), need, keys.salt, keys.iterations)


@pytest.mark.parametrize("name", NOBODY.values(), ids=NOBODY)
async def test_nobody_s_keys_look_like_others_and_are_good_for_nothing(authenticator: Authenticator, name: str) -> None:
    for need in (Need.SCRAM_SHA_256, Need.SCRAM_SHA_1):
        login, keys = await authenticator.fetch_keys(name, need)
        assert login is None
        assert await authenticator.fetch_keys(name, need) == (None, keys)
        _, known = await authenticator.fetch_keys("alice", need)
        assert (len(keys.salt), keys.iterations) == (len(known.salt), known.iterations)
        assert len(keys.stored_key) == len(known.stored_key)
        for password in (PASSWORD, "", "nobody's password"):
            assert keys.stored_key != ScramKeys.derive(password.encode(), need, keys.salt).stored_key


async def test_a_name_has_one_decoy_however_it_is_written(authenticator: Authenticator) -> None:
    _, keys = await authenticator.fetch_keys("mallory", Need.SCRAM_SHA_256)
    for name in ("mallory@example.com", "\uff4dallory", "mallory\u00ad"):
        assert await authenticator.fetch_keys(name, Need.SCRAM_SHA_256) == (None, keys)


async def test_nobody_sees_that_a_login_was_disabled(authenticator: Authenticator, store: DatabaseStore) -> None:
    _, before = await authenticator.fetch_keys("alice", Need.SCRAM_SHA_256)
    set_disabled(store, ALICE, is_disabled=True)
    login, keys = await authenticator.fetch_keys("alice", Need.SCRAM_SHA_256)
    assert login is None
    assert (keys.salt, keys.iterations) == (before.salt, before.iterations)
    assert keys.stored_key != before.stored_key
    assert keys.server_key != before.server_key


async def test_keys_that_are_damaged_are_no_wrong_password(authenticator: Authenticator, store: DatabaseStore) -> None:
    store.change(ALICE, lambda record: record and replace(record, scram_sha_256="{SCRAM-SHA-256}"))
    with pytest.raises(StoreUnavailableError, match=r"alice@example\.com for SCRAM_SHA_256: is no SCRAM record"):
        await authenticator.fetch_keys("alice", Need.SCRAM_SHA_256)


@pytest.mark.parametrize("missing", [("scram_sha_256", "scram_sha_1"), ("scram_sha_256",)])
async def test_a_record_without_keys_gets_them_by_the_right_password_only(
    authenticator: Authenticator, store: DatabaseStore, missing: tuple[str, ...]
) -> None:
    """As version 0.1 made them."""
    of_today = store.read(ALICE)
    assert of_today is not None
    old = replace(of_today, **dict.fromkeys(missing, ""))
    store.change(ALICE, lambda _: old)
    login, decoy = await authenticator.fetch_keys("alice", Need.SCRAM_SHA_256)
    assert login is None
    assert await authenticator.check_password("alice", "wrong") is None
    assert store.read(ALICE) == old
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    login, keys = await authenticator.fetch_keys("alice", Need.SCRAM_SHA_256)
    assert login == ALICE
    assert keys == ScramKeys.derive(PASSWORD.encode(), Need.SCRAM_SHA_256, keys.salt)
    assert keys != decoy
    renewed = store.read(ALICE)
    assert renewed is not None
    assert renewed.secret == old.secret
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    assert store.read(ALICE) == renewed


async def test_what_not_every_login_has_is_looked_for_again_when_something_changed(
    authenticator: Authenticator, store: DatabaseStore, path: Path
) -> None:
    for value, held_back in (("", {Need.SCRAM_SHA_256}), ("keys", set())):
        store.change(CAROL, lambda record, value=value: record and replace(record, scram_sha_256=value))
        settle(path)
        await authenticator.look()
        assert authenticator.held_back == held_back


async def test_a_secret_from_another_row_is_none(authenticator: Authenticator, store: DatabaseStore) -> None:
    alice = store.read(ALICE)
    assert alice is not None
    store.change(CAROL, lambda _: Record(CAROL, alice.password, alice.secret))
    with pytest.raises(StoreUnavailableError, match=r"carol@example\.com"):
        await authenticator.fetch_secret("carol")


async def test_a_password_that_was_right_is_cheap_for_a_while(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_in() -> Awaitable[object]:
        return authenticator.check_password("alice", PASSWORD)

    dear = await cost(lambda: authenticator.check_password("alice", "wrong"), 5)
    await log_in()
    assert await cost(log_in, 5) < dear / 3
    forgetful = "submission.credentials.authenticator.REMEMBERED_FOR"
    monkeypatch.setattr(forgetful, 0.0)
    await authenticator.check_password("carol", PASSWORD)
    assert await cost(lambda: authenticator.check_password("carol", PASSWORD), 5) > dear / 2


async def test_the_oldest_is_forgotten_first(authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch) -> None:
    dear = await cost(lambda: authenticator.check_password("alice", "wrong"), 5)
    monkeypatch.setattr("submission.credentials.successes.REMEMBERED", 1)
    await authenticator.check_password("alice", PASSWORD)
    await authenticator.check_password("carol", PASSWORD)
    assert await cost(lambda: authenticator.check_password("carol", PASSWORD), 5) < dear / 3
    assert await cost(lambda: authenticator.check_password("alice", PASSWORD)) > dear / 2


async def test_who_was_here_again_is_not_the_oldest(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.credentials.successes.REMEMBERED", 2)
    for name in ("alice", "carol", "alice", "carol@example.com"):
        assert await authenticator.check_password(name, PASSWORD)
    kept = authenticator._successes._kept.values()
    assert [success.record.login for success in kept] == [ALICE, CAROL]


async def test_what_is_remembered_is_of_no_use_to_another_process(path: Path) -> None:
    """Who reads our memory, or a core, has no digest that he could try a list of passwords on elsewhere."""
    digests = []
    for _ in range(2):
        with contextlib.closing(Authenticator(DatabaseStore(path), SEALER, "example.com", threads=1)) as authenticator:
            assert await authenticator.check_password("alice", PASSWORD) == ALICE
            digests += authenticator._successes._kept
    assert len(set(digests)) == 2


CHEAP = "$argon2id$v=19$m=4096,t=1,p=1$ZQX2hPoV3oneV9Qqvmwv1g$hag+cv6truBj/wRtFfu1m08SbJDcvzP5c/i1d1o4tGc"
"""Of PASSWORD."""


async def test_a_hash_of_other_costs_is_made_anew_by_the_right_password_only(
    authenticator: Authenticator, store: DatabaseStore
) -> None:
    of_today = store.read(ALICE)
    assert of_today is not None
    cheap = replace(of_today, password=CHEAP, app_passwords=(AppPassword("printer", "digest"),))
    store.change(ALICE, lambda _: cheap)
    assert await authenticator.check_password("alice", "wrong") is None
    assert store.read(ALICE) == cheap
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    renewed = store.read(ALICE)
    assert renewed is not None
    assert renewed.password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert renewed.secret == of_today.secret
    assert renewed.app_passwords == cheap.app_passwords
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    assert store.read(ALICE) == renewed


@pytest.mark.parametrize("change", ["password", "disable", "delete"])
async def test_a_hash_is_not_made_anew_of_what_was_changed_meanwhile(
    store: DatabaseStore, path: Path, change: str
) -> None:
    store.change(ALICE, lambda record: record and replace(record, password=CHEAP))
    kept: list[Record | None] = []

    def change_it() -> None:
        match change:
            case "password":
                set_password(store, SEALER, ALICE, "another", may_create=False, keep_secret=True)
            case "disable":
                set_disabled(store, ALICE, is_disabled=True)
            case _:
                delete(store, ALICE)
        kept.append(store.read(ALICE))

    slow = SlowStore(path, change_it)
    with contextlib.closing(Authenticator(slow, SEALER, "example.com", threads=1)) as authenticator:
        assert await authenticator.check_password("alice", PASSWORD) == ALICE
    assert store.read(ALICE) == kept[0]


async def test_a_hash_that_can_t_be_made_anew_lets_in_all_the_same(
    authenticator: Authenticator, store: DatabaseStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.change(ALICE, lambda record: record and replace(record, password=CHEAP))
    monkeypatch.setattr("submission.credentials.database.BUSY_TIMEOUT", 0.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        hasty = Authenticator(DatabaseStore(path), SEALER, "example.com", threads=1)
        assert await hasty.check_password("alice", PASSWORD) == ALICE
        hasty.close()
    record = store.read(ALICE)
    assert record is not None
    assert record.password == CHEAP


async def test_a_changed_password_counts_at_once(authenticator: Authenticator, store: DatabaseStore) -> None:
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    set_password(store, SEALER, ALICE, "another", may_create=False, keep_secret=True)
    assert await authenticator.check_password("alice", PASSWORD) is None
    assert await authenticator.check_password("alice", "another") == ALICE
    assert await authenticator.fetch_secret("alice") == (ALICE, b"another")


async def test_disabling_counts_at_once(authenticator: Authenticator, store: DatabaseStore) -> None:
    for _ in range(2):
        assert await authenticator.check_password("alice", PASSWORD) == ALICE
        set_disabled(store, ALICE, is_disabled=True)
        assert await authenticator.check_password("alice", PASSWORD) is None
        assert await authenticator.fetch_secret("alice") is None
        set_disabled(store, ALICE, is_disabled=False)


async def test_deleting_counts_at_once(authenticator: Authenticator, store: DatabaseStore) -> None:
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    delete(store, ALICE)
    assert await authenticator.check_password("alice", PASSWORD) is None
    assert await authenticator.fetch_secret("alice") is None


async def test_a_change_counts_at_once_in_a_store_that_was_left_alone_for_long(
    authenticator: Authenticator, store: DatabaseStore, path: Path
) -> None:
    """Nor does it help to set the file's time back."""
    for _ in range(2):
        os.utime(path, (1e9, 1e9))
        assert store.version() is not None
        assert await authenticator.check_password("alice", PASSWORD) == ALICE
        set_disabled(store, ALICE, is_disabled=True)
        assert await authenticator.check_password("alice", PASSWORD) is None
        os.utime(path, (1e9, 1e9))
        assert await authenticator.check_password("alice", PASSWORD) is None
        set_disabled(store, ALICE, is_disabled=False)


async def test_a_change_counts_at_once_in_a_store_with_a_write_ahead_log(
    authenticator: Authenticator, store: DatabaseStore, path: Path
) -> None:
    """Regression: an admin's journal_mode = WAL kept changes out of the file, and so from us, for minutes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        os.utime(path, (1e9, 1e9))
        assert await authenticator.check_password("alice", PASSWORD) == ALICE
        set_disabled(store, ALICE, is_disabled=True)
        assert await authenticator.check_password("alice", PASSWORD) is None


async def test_a_store_that_is_moved_into_place_counts_at_once(authenticator: Authenticator, path: Path) -> None:
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    DatabaseStore(path.with_name("empty.db")).close()
    path.with_name("empty.db").replace(path)
    assert await authenticator.check_password("alice", PASSWORD) is None


async def test_nobody_gets_in_while_the_store_is_out_of_order(authenticator: Authenticator, path: Path) -> None:
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    kept = path.with_name("kept.db")
    for make_trouble in (lambda: path.rename(kept), lambda: path.write_bytes(b"garbage" * 1000)):
        make_trouble()
        with pytest.raises(StoreUnavailableError):
            await authenticator.check_password("alice", PASSWORD)
        with pytest.raises(StoreUnavailableError):
            await authenticator.fetch_secret("alice")
    kept.replace(path)
    assert await authenticator.check_password("alice", PASSWORD) == ALICE


async def test_whoever_finds_the_queue_full_is_told_and_the_others_are_served(authenticator: Authenticator) -> None:
    for _ in range(2):  # no place is lost for good
        questions = (authenticator.fetch_secret("alice") for _ in range(MAX_WAITING + 3))
        answers = await asyncio.gather(*questions, return_exceptions=True)
        assert answers[:MAX_WAITING] == [(ALICE, PASSWORD.encode())] * MAX_WAITING
        assert [type(answer) for answer in answers[MAX_WAITING:]] == [StoreUnavailableError] * 3


async def test_a_client_that_leaves_gives_its_place_back(authenticator: Authenticator) -> None:
    tasks = [asyncio.ensure_future(authenticator.fetch_secret("alice")) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)  # each has asked now
    with pytest.raises(StoreUnavailableError, match="too many"):
        await authenticator.fetch_secret("alice")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await authenticator.check_password("alice", PASSWORD) == ALICE


async def test_the_event_loop_goes_on_meanwhile(authenticator: Authenticator) -> None:
    begin = time.thread_time()
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    assert time.thread_time() - begin < (await cost(lambda: authenticator.check_password("alice", "wrong"), 5)) / 3


def settle(path: Path, seconds: float = 60) -> None:
    """Let the store have been written so long ago."""
    status = path.stat()
    os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


@pytest.fixture
async def remembering(path: Path, authenticator: Authenticator) -> Authenticator:
    """One that remembers alice's password in a store that didn't change since, and that has no threads to ask."""
    settle(path)
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    authenticator._threads.shutdown()
    return authenticator


async def test_while_nothing_changed_a_remembered_password_needs_neither_thread_nor_store(
    remembering: Authenticator,
) -> None:
    assert await remembering.check_password("alice", PASSWORD) == ALICE
    for name, password in (("alice", "wrong"), ("Alice", PASSWORD), ("alic", "e" + PASSWORD), ("bob", PASSWORD)):
        with pytest.raises(RuntimeError, match="shutdown"):  # it would have asked
            await remembering.check_password(name, password)


@pytest.mark.parametrize("when", [0, 60], ids=["just now", "a while ago"])
@pytest.mark.parametrize("change", ["password", "disable", "delete", "somebody else's"])
async def test_whatever_changes_in_the_store_is_asked_for_again(
    remembering: Authenticator, store: DatabaseStore, path: Path, change: str, when: int
) -> None:
    match change:
        case "password":
            set_password(store, SEALER, ALICE, "another", may_create=False, keep_secret=True)
        case "disable":
            set_disabled(store, ALICE, is_disabled=True)
        case "delete":
            delete(store, ALICE)
        case _:
            set_disabled(store, CAROL, is_disabled=True)
    settle(path, when)
    with pytest.raises(RuntimeError, match="shutdown"):
        await remembering.check_password("alice", PASSWORD)


async def test_a_store_that_is_gone_is_asked_for_again(remembering: Authenticator, path: Path) -> None:
    await asyncio.to_thread(path.unlink)
    with pytest.raises(RuntimeError, match="shutdown"):
        await remembering.check_password("alice", PASSWORD)


async def test_what_is_remembered_is_forgotten_in_time(
    remembering: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + REMEMBERED_FOR + 1)
    with pytest.raises(RuntimeError, match="shutdown"):
        await remembering.check_password("alice", PASSWORD)


async def test_a_password_is_remembered_for_the_addresses_that_it_was_right_from(remembering: Authenticator) -> None:
    assert remembering.remembers("alice", PASSWORD, "")
    addresses = [f"192.0.2.{number}" for number in range(ADDRESSES + 1)]
    for address in addresses:
        assert not remembering.remembers("alice", PASSWORD, address)
        assert await remembering.check_password("alice", PASSWORD, address) == ALICE
        assert remembering.remembers("alice", PASSWORD, address)
    assert [remembering.remembers("alice", PASSWORD, address) for address in addresses] == [False] + ADDRESSES * [True]
    assert not remembering.remembers("alice", "wrong", addresses[-1])
    assert not remembering.remembers("carol", PASSWORD, addresses[-1])


async def test_it_stays_remembered_for_them_when_it_is_compared_again(path: Path, authenticator: Authenticator) -> None:
    assert await authenticator.check_password("alice", PASSWORD, "192.0.2.7") == ALICE
    assert not authenticator.remembers("alice", PASSWORD, "192.0.2.7")  # in a store that was written to just now
    settle(path)
    assert await authenticator.check_password("alice", PASSWORD, "192.0.2.8") == ALICE
    assert authenticator.remembers("alice", PASSWORD, "192.0.2.7")
    assert not authenticator.remembers("alice", PASSWORD, "192.0.2.9")


async def test_to_be_asked_often_does_not_prolong_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = Authenticator(DatabaseStore(path), SEALER, "example.com", threads=1)
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    (first,) = authenticator._successes._kept.values()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + REMEMBERED_FOR / 2)
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    (second,) = authenticator._successes._kept.values()
    assert second.until == first.until
    authenticator.close()


async def test_an_app_password_is_good_for_its_user_where_and_as_long_as_it_is(
    authenticator: Authenticator, store: DatabaseStore, path: Path
) -> None:
    app, old = write_out(bytes(range(13))), write_out(bytes(13))
    kept = (
        AppPassword("printer", digest(app), networks=("192.0.2.0/24",), used=time.time()),
        AppPassword("old", digest(old), expires=1.0),
    )
    for login in (ALICE, CAROL):
        store.change(login, lambda record: record and replace(record, app_passwords=kept))
    settle(path)
    assert await authenticator.find_app_password("alice", app, "192.0.2.7") == (ALICE, kept[0])
    assert await authenticator.check_password("alice", app) is None
    assert not authenticator.remembers("alice", app, "")
    set_disabled(store, CAROL, is_disabled=True)
    for name, password, address in (
        ("alice", app, "198.51.100.1"),
        ("alice", app, ""),
        ("alice", old, "192.0.2.7"),
        ("alice", PASSWORD, "192.0.2.7"),
        ("dave", app, "192.0.2.7"),
        ("carol", app, "192.0.2.7"),
    ):
        assert await authenticator.find_app_password(name, password, address) is None


@pytest.mark.parametrize("need", [Need.SECRET, Need.SCRAM_SHA_256, Need.NOTHING])
async def test_how_many_app_passwords_somebody_has_takes_no_time(
    authenticator: Authenticator, store: DatabaseStore, need: Need
) -> None:
    """Regression: whoever had fifty was answered half a millisecond later than who isn't there."""
    app = AppPassword("", digest(write_out(bytes(13))), networks=("192.0.2.0/24",))
    kept = tuple(replace(app, label=str(number)) for number in range(MAX_OF_USER))
    store.change(ALICE, lambda record: record and replace(record, app_passwords=kept))
    ask = {
        Need.SECRET: authenticator._fetch,
        Need.NOTHING: lambda name: authenticator._find(name, ""),
    }.get(need, lambda name: authenticator._fetch_keys(name, need))

    async def of(name: str) -> None:
        for _ in range(20):
            ask(name)

    assert await cost(lambda: of("alice"), 5) < 2 * await cost(lambda: of("mallory"), 5)


# Logins that somebody else vouches for


@pytest.mark.parametrize("user", ["alice", "alice@example.com"])
@pytest.mark.parametrize("name", ["", "alice", "alice@example.com", "\uff41lice"])
async def test_a_login_for_whom_somebody_vouches(authenticator: Authenticator, user: str, name: str) -> None:
    assert await authenticator.find_login(user, name) == ALICE


@pytest.mark.parametrize("user", [*NOBODY.values(), "bob", "", "Alice", "alice@", "@example.com", "a\0b", "x" * 600])
async def test_vouching_makes_no_login(authenticator: Authenticator, user: str) -> None:
    assert await authenticator.find_login(user, "") is None
    assert await authenticator.find_login(user, user) is None


@pytest.mark.parametrize("user", ["\uff41lice", "al\u00adice", "alice@example\uff0ecom", "alice@\uff45xample.com"])
async def test_what_only_looks_like_a_login_is_another(authenticator: Authenticator, user: str) -> None:
    """A client's own spelling is prepared; to an issuer it may be somebody else's name."""
    assert await authenticator.check_password(user, PASSWORD) == ALICE
    assert await authenticator.find_login(user, "") is None


@pytest.mark.parametrize("name", ["carol", "bob", "mallory", "alice@example.org", "Alice", "@"])
async def test_nobody_may_act_for_somebody_else(authenticator: Authenticator, name: str) -> None:
    assert await authenticator.find_login("alice", name) is None


class Issuer:
    """One whose tokens are user names."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def claims(self, token: str) -> Claims:
        if self.failure is not None:
            raise self.failure
        return {"iss": "https://id.example.com", "aud": "mail", "exp": time.time() + 60, "sub": token}


async def test_tokens(path: Path, logged: Callable[[], list[dict[str, object]]]) -> None:
    issuer = Issuer()
    tokens = TokenVerifier(OAuth(issuer="https://id.example.com", audience=("mail",)), issuer)
    with contextlib.closing(Authenticator(DatabaseStore(path), SEALER, "example.com", 2, tokens)) as authenticator:
        assert await authenticator.check_token("", "alice") == ALICE
        assert await authenticator.check_token("alice@example.com", "alice") == ALICE
        for name, token in (("carol", "alice"), ("", "bob"), ("", "mallory"), ("mallory", "mallory")):
            assert await authenticator.check_token(name, token) is None
        assert logged() == []
        issuer.failure = TokenRefusedError("token-of-unknown-key")
        assert await authenticator.check_token("alice", "a-secret-token") is None
        [line] = logged()
        assert (line["event"], line["user"], line["reason"]) == ("token-refused", "alice", "token-of-unknown-key")
        assert "a-secret-token" not in str(line)
        issuer.failure = IssuerUnavailableError("it is down")
        with pytest.raises(IssuerUnavailableError):
            await authenticator.check_token("", "alice")


async def test_without_an_issuer_no_token_is_good(authenticator: Authenticator) -> None:
    assert await authenticator.check_token("", "alice") is None


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two seconds go by."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)


async def test_a_login_is_usable_until_it_is_disabled_or_deleted(
    authenticator: Authenticator, store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await authenticator.is_enabled(ALICE)
    assert not await authenticator.is_enabled(BOB)
    assert not await authenticator.is_enabled(Login("nobody", "example.com"))
    await asyncio.to_thread(authenticator.suspend, ALICE)
    assert not await authenticator.is_enabled(ALICE)
    assert await authenticator.is_enabled(CAROL)
    delete(store, CAROL)
    assert await authenticator.is_enabled(CAROL)  # for a second
    later(monkeypatch)
    assert not await authenticator.is_enabled(CAROL)
    with pytest.raises(NoSuchUserError):
        await asyncio.to_thread(authenticator.suspend, CAROL)


async def test_a_pop_user_is_suspended_in_whatever_case_he_writes_his_name(
    authenticator: Authenticator, store: DatabaseStore
) -> None:
    """Regression: who sent by a grant as `Alice` went on after a limit that suspends, for no account was called so."""
    assert await authenticator.is_enabled(ALICE)
    await asyncio.to_thread(authenticator.suspend, Login("Alice", "Example.com"))
    assert not await authenticator.is_enabled(ALICE)
    assert await authenticator.is_shut_out(Login("ALICE", "example.com"))
    assert await authenticator.is_enabled(CAROL)
    capital = Login("Carol", "example.com")
    store.change(capital, lambda _: Record(capital, password="unusable"))
    await asyncio.to_thread(authenticator.suspend, capital)
    assert await authenticator.is_enabled(CAROL)  # who has an account of the very name is nobody else
    with pytest.raises(NoSuchUserError):
        await asyncio.to_thread(authenticator.suspend, Login("Mallory", "example.com"))


async def test_what_was_just_read_counts_before_a_yes_of_a_moment_ago(
    authenticator: Authenticator, store: DatabaseStore
) -> None:
    assert await authenticator.is_enabled(ALICE)
    assert await authenticator.is_enabled(CAROL)
    set_disabled(store, ALICE, is_disabled=True)
    delete(store, CAROL)
    for login in (ALICE, CAROL):
        assert await authenticator.is_enabled(login)
        assert await authenticator.fetch_secret(str(login)) is None
        assert not await authenticator.is_enabled(login)


async def test_no_more_logins_are_kept_in_mind_than_that(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.credentials.authenticator.REMEMBERED", 2)
    for login in (ALICE, CAROL, DAVE):
        assert await authenticator.is_enabled(login)
    assert len(authenticator._enabled) <= 2


class SlowStore(DatabaseStore):
    """One whose answers are old when they come."""

    def __init__(self, path: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(path)
        self._meanwhile = [meanwhile]

    def read(self, login: Login) -> Record | None:
        return self._delay(super().read(login))

    def read_own(self, login: Login) -> Record | None:
        return self._delay(super().read_own(login))

    def disabled(self) -> Collection[Login]:
        return self._delay(super().disabled())

    def _delay(self, answer: Answer) -> Answer:
        if self._meanwhile:
            self._meanwhile.pop()()
        return answer


async def test_an_answer_that_was_old_when_it_came_is_not_kept_as_a_new_one(
    store: DatabaseStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disable() -> None:
        set_disabled(store, ALICE, is_disabled=True)
        settle(path)
        later(monkeypatch)

    settle(path)
    with contextlib.closing(Authenticator(SlowStore(path, disable), SEALER, "example.com", threads=1)) as authenticator:
        assert await authenticator.check_password("alice", PASSWORD) == ALICE
        assert not authenticator.remembers("alice", PASSWORD, "")
        assert not await authenticator.is_enabled(ALICE)
    set_disabled(store, ALICE, is_disabled=False)
    settle(path)
    with contextlib.closing(Authenticator(SlowStore(path, disable), SEALER, "example.com", threads=1)) as authenticator:
        assert not await authenticator.is_shut_out(ALICE)
        assert await authenticator.is_shut_out(ALICE)


async def test_a_disabled_account_is_a_pop_user_s_in_whatever_case_he_writes_his_name(
    authenticator: Authenticator, store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a disabled user sent by a grant, for his POP server took `Bob` for `bob`, and logged it so."""
    for name in ("bob", "Bob", "BOB@EXAMPLE.com"):
        assert await authenticator.is_shut_out(Login.parse(name, "example.com"))
    for name in ("alice", "mallory", "bob@example.org"):
        assert not await authenticator.is_shut_out(Login.parse(name, "example.com"))
    await asyncio.to_thread(authenticator.suspend, ALICE)
    assert await authenticator.is_shut_out(ALICE)
    set_disabled(store, ALICE, is_disabled=False)
    dave = Login("Dave", "example.com")
    store.change(dave, lambda _: Record(dave, is_disabled=True))
    later(monkeypatch)
    assert await authenticator.is_shut_out(DAVE)
    assert not await authenticator.is_shut_out(ALICE)


async def test_for_a_second_and_while_nothing_changed_nobody_is_asked_who_is_disabled(
    authenticator: Authenticator, store: DatabaseStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not await authenticator.is_shut_out(ALICE)
    set_disabled(store, ALICE, is_disabled=True)
    assert not await authenticator.is_shut_out(ALICE)
    settle(path)
    later(monkeypatch)
    assert await authenticator.is_shut_out(ALICE)
    authenticator._threads.shutdown()
    later(monkeypatch)
    assert await authenticator.is_shut_out(ALICE)
    settle(path, -120)
    later(monkeypatch)
    with pytest.raises(RuntimeError, match="shutdown"):
        await authenticator.is_shut_out(ALICE)


async def test_a_login_that_was_just_proved_is_not_looked_up_again(authenticator: Authenticator) -> None:
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    await authenticator.fetch_keys("carol", Need.SCRAM_SHA_256)
    authenticator._threads.shutdown()
    assert await authenticator.is_enabled(ALICE)
    assert await authenticator.is_enabled(CAROL)


async def test_while_nothing_changed_nobody_is_asked_whether_a_login_is_usable(
    authenticator: Authenticator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(path)
    assert await authenticator.is_enabled(ALICE)
    authenticator._threads.shutdown()
    later(monkeypatch)
    assert await authenticator.is_enabled(ALICE)
    with pytest.raises(RuntimeError, match="shutdown"):
        await authenticator.is_enabled(CAROL)
    settle(path, -120)
    later(monkeypatch)
    with pytest.raises(RuntimeError, match="shutdown"):
        await authenticator.is_enabled(ALICE)
