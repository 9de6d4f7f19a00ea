"""What failures mean for the logins that follow, with a clock that doesn't wait."""

import base64
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from submission.core import replies
from submission.core.sasl.plain import PlainMechanism
from submission.core.transaction import Peer
from submission.credentials import open_store
from submission.credentials.accounts import set_password
from submission.credentials.sealing import Sealer
from submission.smtp.authentication import Inquiry, Verdict, exchange
from submission.smtp.penalties import Penalties, RefusedError
from submission.state.penalties import PenaltyTable
from submission.state.sqlite import SqliteState
from tests.smtp.test_authentication import (
    ALICE,
    BAD,
    CHANNEL,
    GOOD,
    PASSWORD,
    Client,
    make_settings,
    plain,
    session,
)

Logged = Callable[[], list[dict[str, object]]]
REALM = "example.com"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    state = SqliteState(tmp_path / "state.db")
    yield state
    state.close()


@pytest.fixture
def table(state: SqliteState) -> PenaltyTable:
    return PenaltyTable(state, b"key")


def settle(folder: Path) -> None:
    """Have the store be older than it is, so that it has a version."""
    long_ago = time.time() - 10
    os.utime(folder / "users.db", (long_ago, long_ago))


class Clock:
    """Notes how long somebody was to wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def make(table: PenaltyTable | None, clock: Clock, address: str = "192.0.2.50", exempt: str = "") -> Penalties:
    networks = (ip_network(exempt),) if exempt else ()
    return Penalties(table, Peer("0123456789ab", address), REALM, clock.sleep, networks)


async def test_a_name_is_one_however_it_is_written(table: PenaltyTable) -> None:
    clock = Clock()
    for number, name in enumerate(("alice", "alice@example.com", "ali\u00adce", "alice", "alice")):
        await make(table, clock, "192.0.2.1").fail(name, f"guess{number}")
    await make(table, clock, "192.0.2.2").wait("alice")
    await make(table, clock, "192.0.2.2").wait("bob")
    assert clock.waits == [2.0]


async def test_exempt_networks_neither_earn_nor_suffer(table: PenaltyTable) -> None:
    clock = Clock()
    exempt = make(table, clock, exempt="192.0.2.0/24")
    for number in range(40):
        await exempt.fail("alice", f"guess{number}")
    assert table.penalties() == {}
    for number in range(40):
        await make(table, clock).fail("alice", f"guess{number}")
    await exempt.wait("alice")
    assert clock.waits == []
    with pytest.raises(RefusedError):
        await make(table, clock).wait("alice")


async def test_a_state_out_of_order_stops_no_login(
    table: PenaltyTable, state: SqliteState, tmp_path: Path, logged: Logged
) -> None:
    clock = Clock()
    penalties = make(table, clock)
    state.close()
    for file in tmp_path.glob("state.db*"):  # noqa: ASYNC240
        file.unlink()
    (tmp_path / "state.db").mkdir()
    await penalties.wait("alice")
    await penalties.fail("alice", "guess")
    assert clock.waits == []
    assert [line["event"] for line in logged()] == ["state-unavailable"] * 2


@pytest.fixture
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One account, alice."""
    folder = tmp_path_factory.mktemp("accounts")
    settings = make_settings(folder)
    store, sealer = open_store(settings.store.url), Sealer.from_file(settings.store.key_file)
    set_password(store, sealer, ALICE, PASSWORD, may_create=True, keep_secret=True)
    store.close()
    return folder


@asynccontextmanager
async def guarded(folder: Path, table: PenaltyTable) -> AsyncIterator[tuple[Client, Clock]]:
    """A session from 192.0.2.1, and how long it has to wait."""
    clock = Clock()
    async with session(make_settings(folder), penalties=table) as client:
        client.authentication._penalties._pause = clock.sleep
        yield client, clock


async def test_after_failures_a_right_password_waits_too_and_takes_them_back(
    accounts: Path, table: PenaltyTable
) -> None:
    async with guarded(accounts, table) as (client, clock):
        for password in ("one", "two"):
            assert await client.auth(b"PLAIN " + base64.b64encode(plain("alice", password))) is replies.AUTH_FAILED
    async with guarded(accounts, table) as (client, clock):
        assert await client.auth(GOOD) is replies.AUTH_OK
        assert clock.waits == [2.0]
    async with guarded(accounts, table) as (client, clock):
        assert await client.auth(GOOD) is replies.AUTH_OK
        assert clock.waits == []


async def test_a_password_that_was_right_a_moment_ago_does_not_wait(accounts: Path, table: PenaltyTable) -> None:
    settle(accounts)
    async with session(make_settings(accounts), penalties=table) as first:
        assert await first.auth(GOOD) is replies.AUTH_OK
        for number in range(40):
            await table.fail("192.0.2.1", "alice@example.com", f"guess{number}")
        authenticator = first.authentication._shared.authenticator

        async def log_in(address: str) -> Verdict:
            penalties = Penalties(table, Peer("0123456789ab", address), REALM, clock.sleep)
            return await exchange(
                PlainMechanism(CHANNEL), plain("alice"), no_answer, Inquiry(authenticator, penalties, address)
            )

        clock = Clock()
        assert (await log_in("192.0.2.1")).login == ALICE
        assert clock.waits == []
        # Regression: a guesser had the right answer before his wait, and left as soon as there was none.
        assert (await log_in("192.0.2.2")).login == ALICE
        assert clock.waits == [15.0]


async def no_answer(challenge: bytes) -> bytes:
    raise AssertionError(challenge)


async def test_an_address_that_is_refused_hears_so_before_anything_is_tried(
    accounts: Path, table: PenaltyTable, logged: Logged
) -> None:
    for number in range(30):
        await table.fail("192.0.2.1", f"user{number}", "guess")
    for attempt in (GOOD, BAD):
        async with guarded(accounts, table) as (client, clock):
            assert await client.auth(attempt) is replies.TOO_MANY_AUTH_FAILURES
            assert clock.waits == []
            assert client.peer.identity is None
    assert [line["reason"] for line in logged()] == ["penalty"] * 2


@pytest.mark.parametrize("user", ["alice", "nobody"])
async def test_known_and_unknown_users_wait_as_long(accounts: Path, table: PenaltyTable, user: str) -> None:
    waits = []
    for number in range(8):
        async with guarded(accounts, table) as (client, clock):
            client.peer.address = f"198.51.100.{number}"
            attempt = base64.b64encode(plain(user, f"guess{number}"))
            assert await client.auth(b"PLAIN " + attempt) is replies.AUTH_FAILED
            waits += clock.waits or [0.0]
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8]


async def test_what_is_no_guess_is_not_counted(accounts: Path, table: PenaltyTable) -> None:
    async with guarded(accounts, table) as (client, _):
        assert await client.auth(b"PLAIN ?") is replies.AUTH_BAD_BASE64
        assert await client.auth(b"PLAIN " + base64.b64encode(b"boss\0alice\0x")) is replies.AUTH_FAILED
        assert await client.auth(b"PLAIN", b"*") is replies.AUTH_ABORTED
    assert table.penalties() == {}
