"""One session's part in the limits; what all of them make of it together is in tests/service and tests/dialogues."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from submission.config.limits import AddressLimits, Limits, UserLimits
from submission.core import replies
from submission.core.addresses import Login, Mailbox
from submission.core.transaction import Identity, Peer, Via
from submission.smtp.places import Places
from submission.smtp.quotas import Limiting, Quotas
from submission.state.quotas import QuotaTable
from submission.state.sqlite import SqliteState

ALICE = Identity(Via.AUTH, Login("alice", "example.com"))
BY_POP = Identity(Via.POP, Login("alice", "example.com"))
STATIC = Identity(Via.STATIC, None)
BOB, CAROL = (
    Mailbox(b"bob@test.example", b"bob", b"test.example"),
    Mailbox(b"carol@test.example", b"carol", b"test.example"),
)


class Alarms:
    """Notes who reached what."""

    def __init__(self) -> None:
        self.raised: list[tuple[str, str]] = []

    def __call__(self, login: Login, limit: str) -> None:
        self.raised.append((str(login), limit))

    def close(self) -> None:
        """Nothing is to be done."""


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteState]:
    state = SqliteState(tmp_path / "state.db")
    yield state
    state.close()


class Installation:
    """One process, in which sessions are made."""

    def __init__(self, state: SqliteState, alarms: Alarms, limits: Limits) -> None:
        places = Places(1, 1000, limits.user.connections).row(0)
        self.limiting = Limiting(limits, QuotaTable(state, b"key"), places, alarms)

    def session(self, address: str = "192.0.2.5") -> Quotas:
        return Quotas(self.limiting, Peer("session", address))


async def send(quotas: Quotas, identity: Identity, *recipients: Mailbox) -> list[int]:
    """A message that the relay takes; the codes of our refusals, 0 where we refuse nothing."""
    said = [await quotas.open(identity)]
    if said == [None]:
        said += [await quotas.admit(recipient) for recipient in recipients]
        if None in said[1:] or not recipients:
            quotas.keep()
    quotas.close()
    return [reply.code if reply else 0 for reply in said]


async def test_without_limits_nothing_is_asked_or_kept() -> None:
    quotas = Quotas(None, Peer("session", "192.0.2.5"))
    assert await send(quotas, ALICE, *[BOB] * 1000) == [0] * 1001
    quotas.leave()


async def test_a_user_has_one_limit_wherever_and_however_they_come(state: SqliteState, alarms: Alarms) -> None:
    installation = Installation(state, alarms, Limits(user=UserLimits(messages_per_hour=3)))
    assert await send(installation.session("192.0.2.5"), ALICE) == [0]
    assert await send(installation.session("2001:db8::1"), BY_POP) == [0]
    one = installation.session("")
    assert [await send(one, ALICE) for _ in range(2)] == [[0], [450]]
    assert await send(installation.session(), Identity(Via.AUTH, Login("bob", "example.com"))) == [0]
    assert await send(installation.session(), STATIC) == [0]
    assert alarms.raised == [("alice@example.com", "messages_per_hour")]


async def test_a_user_has_one_limit_however_a_pop_server_writes_the_name(state: SqliteState, alarms: Alarms) -> None:
    installation = Installation(state, alarms, Limits(user=UserLimits(messages_per_hour=2)))
    spelled = [Identity(Via.POP, Login(*name)) for name in (("Alice", "example.com"), ("aLICE", "EXAMPLE.com"))]
    assert [await send(installation.session(), identity) for identity in (*spelled, ALICE)] == [[0], [0], [450]]


async def test_the_limits_of_an_address_are_for_those_without_a_login(state: SqliteState, alarms: Alarms) -> None:
    installation = Installation(state, alarms, Limits(address=AddressLimits(recipients_per_day=2)))
    assert await send(installation.session("192.0.2.5"), STATIC, BOB, CAROL, BOB) == [0, 0, 0, 450]
    assert await send(installation.session("192.0.2.5"), STATIC, BOB) == [0, 450]
    assert await send(installation.session("192.0.2.5"), Identity(Via.RELAY, None), BOB) == [0, 450]
    assert await send(installation.session("192.0.2.6"), STATIC, BOB) == [0, 0]
    assert await send(installation.session("192.0.2.5"), ALICE, BOB, BOB, BOB) == [0, 0, 0, 0]
    assert await send(installation.session("2001:db8:0:1::5"), STATIC, BOB, BOB) == [0, 0, 0]
    assert await send(installation.session("2001:db8:0:1:ffff::6"), STATIC, BOB) == [0, 450]  # the same customer's
    assert await send(installation.session("2001:db8:0:2::5"), STATIC, BOB) == [0, 0]
    assert await send(installation.session(""), STATIC, BOB, BOB, BOB) == [0, 0, 0, 450]
    assert alarms.raised == []


async def test_what_is_under_way_in_another_session_counts_and_is_given_back(
    state: SqliteState, alarms: Alarms
) -> None:
    limits = Limits(user=UserLimits(messages_per_hour=2, recipients_per_hour=2))
    installation = Installation(state, alarms, limits)
    one, other = installation.session(), installation.session()
    assert await one.open(ALICE) is None
    assert [await one.admit(BOB), await one.admit(CAROL)] == [None, None]
    assert await send(other, ALICE, BOB) == [0, 450]
    one.give_back_recipient()  # the relay doesn't know one of them
    assert await other.open(ALICE) is None
    assert await other.admit(BOB) is None
    other.close()  # given up
    one.keep()
    one.close()
    assert await send(other, ALICE, BOB, BOB) == [0, 0, 450]
    assert await send(other, ALICE) == [450]


async def test_the_reply_says_when(state: SqliteState, alarms: Alarms) -> None:
    installation = Installation(state, alarms, Limits(user=UserLimits(messages_per_day=1)))
    quotas = installation.session()
    await send(quotas, ALICE)
    reply = await quotas.open(ALICE)
    assert reply is not None
    match = re.fullmatch("450 4.7.1 Limit of 1 messages per day reached, try again after (2.{15}) UTC", reply.text)
    assert match
    moment = datetime.strptime(match[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert timedelta(days=1) < moment - datetime.now(UTC) <= timedelta(days=1, hours=1, minutes=1)


async def test_connections_are_counted_from_the_first_message_to_the_end(state: SqliteState, alarms: Alarms) -> None:
    installation = Installation(state, alarms, Limits(user=UserLimits(connections=2)))
    sessions = [installation.session() for _ in range(3)]
    assert [await send(session, ALICE) for session in sessions] == [[0], [0], [450]]
    assert await send(sessions[0], ALICE) == [0]
    assert await send(sessions[2], STATIC) == [0]
    assert alarms.raised == [("alice@example.com", "connections")]
    sessions[0].leave()
    sessions[0].leave()
    assert await send(sessions[2], ALICE) == [0]
    assert await send(sessions[0], ALICE) == [450]
    assert await send(sessions[1], Identity(Via.POP, Login("bob", "example.com"))) == [0]  # no longer alice's
    assert await send(sessions[0], ALICE) == [0]


async def test_nothing_is_sent_while_the_state_cannot_be_asked(
    state: SqliteState, alarms: Alarms, tmp_path: Path
) -> None:
    limits = Limits(user=UserLimits(messages_per_hour=9, first_time_recipients_per_day=9))
    installation = Installation(state, alarms, limits)
    quotas = installation.session()
    assert await quotas.open(ALICE) is None
    state.close()
    (tmp_path / "state.db").unlink()
    (tmp_path / "state.db").mkdir()
    assert await quotas.admit(BOB) == replies.LIMITS_UNAVAILABLE
    quotas.close()
    assert await send(installation.session(), Identity(Via.AUTH, Login("bob", "example.com"))) == [451]
    assert alarms.raised == []
    (tmp_path / "state.db").rmdir()
