"""A store that keeps passwords in the clear, and an authenticator that answers from it."""

import time
from collections.abc import AsyncIterator, Iterator

import pytest

from submission.core.addresses import Login
from submission.core.sasl import Need
from submission.core.sasl.scram_keys import ScramKeys
from submission.credentials.authenticator import Authenticator
from submission.credentials.sealing import Sealer
from submission.credentials.store import Change, Record

ALICE, BOB, CAROL, EMOJI = (Login(user, "example.com") for user in ("alice", "bob", "carol", "emoji"))
PASSWORD = "tanstaaf"
UNPREPARED = "tan\U0001f600staaf"
"""SASLprep has no such character, for it is younger than Unicode 3.2; Cyrus takes it."""
SEALER = Sealer({"0a1b2c3d": bytes(range(32))})
NEEDS = [Need.SCRAM_SHA_256, Need.SCRAM_SHA_1]


class ClearStore:
    """A store in memory."""

    keeps_clear = True

    def __init__(self, *records: Record) -> None:
        self._records = {record.login: record for record in records}

    def read(self, login: Login) -> Record | None:
        return self._records.get(login)

    read_own = read

    def version(self) -> object | None:
        return None

    def change(self, login: Login, change: Change) -> None:
        record = change(self._records.pop(login, None))
        if record is not None:
            self._records[login] = record

    def records(self) -> Iterator[Record]:
        yield from self._records.values()

    def close(self) -> None:
        pass


@pytest.fixture
async def authenticator() -> AsyncIterator[Authenticator]:
    store = ClearStore(
        Record(ALICE, clear=PASSWORD),
        Record(BOB, clear=PASSWORD, is_disabled=True),
        Record(EMOJI, clear=UNPREPARED),
        Record(CAROL),
    )
    authenticator = Authenticator(store, SEALER, "example.com", threads=1)
    yield authenticator
    authenticator.close()


NOBODY = ["mallory", "bob", "carol", "alice@example.org", "", "\ud800", "x" * 5000]


async def test_the_right_password_gives_the_login(authenticator: Authenticator) -> None:
    assert await authenticator.check_password("alice", PASSWORD) == ALICE
    assert await authenticator.check_password("alice@example.com", "tan\u00adstaaf") == ALICE
    assert await authenticator.check_password("emoji", UNPREPARED) == EMOJI


@pytest.mark.parametrize("password", ["", "Tanstaaf", PASSWORD + " ", "\ud800", "x" * 5000, "nobody's password"])
async def test_another_password_gives_none(authenticator: Authenticator, password: str) -> None:
    assert await authenticator.check_password("alice", password) is None


@pytest.mark.parametrize("name", NOBODY)
async def test_nobody_gets_anything(authenticator: Authenticator, name: str) -> None:
    for password in (PASSWORD, "", "nobody's password"):
        assert await authenticator.check_password(name, password) is None
    assert await authenticator.fetch_secret(name) is None
    for need in NEEDS:
        login, keys = await authenticator.fetch_keys(name, need)
        assert login is None
        for password in (PASSWORD, "nobody's password"):
            assert keys != ScramKeys.derive(password.encode(), need, keys.salt, keys.iterations)


async def test_the_secret_is_the_password_as_it_was_set(authenticator: Authenticator) -> None:
    assert await authenticator.fetch_secret("alice") == (ALICE, PASSWORD.encode())
    assert await authenticator.fetch_secret("emoji") == (EMOJI, UNPREPARED.encode())


@pytest.mark.parametrize("need", NEEDS)
async def test_keys_are_made_of_the_password_with_the_same_salt_each_time(
    authenticator: Authenticator, need: Need
) -> None:
    login, keys = await authenticator.fetch_keys("alice", need)
    assert login == ALICE
    assert keys == ScramKeys.derive(PASSWORD.encode(), need, keys.salt, keys.iterations)
    assert await authenticator.fetch_keys("alice@example.com", need) == (ALICE, keys)
    _, others = await authenticator.fetch_keys("emoji", need)
    assert others.salt != keys.salt


async def test_keys_of_nobody_take_the_time_of_somebody_s(authenticator: Authenticator) -> None:
    async def cost(name: str) -> float:
        costs = []
        for _ in range(5):
            begin = time.process_time()
            await authenticator.fetch_keys(name, Need.SCRAM_SHA_256)
            costs.append(time.process_time() - begin)
        return min(costs)

    known = await cost("alice")
    for name in ("mallory", "bob", "alice@example.org", ""):
        assert 0.5 < await cost(name) / known < 2


@pytest.mark.parametrize("need", [*NEEDS, Need.PASSWORD, Need.SECRET])
def test_a_password_in_the_clear_serves_everything(need: Need) -> None:
    assert Record(ALICE, clear=PASSWORD).serves(need)
    assert not Record(ALICE).serves(need)
