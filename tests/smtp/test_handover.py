"""Transactions of a session in this process whose relay says what no mail system should."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from submission.core import replies
from submission.core.transaction import Identity, Via
from submission.credentials import authenticator, open_store
from submission.credentials.store import Record
from tests.support.noting_relay import Relay, in_message, make_pool, obey, running
from tests.support.submitting import ALICE, TakingRelay, submitting

MAIL, BOB, CAROL = b"MAIL FROM:<alice@example.com>", b"RCPT TO:<bob@test.example>", b"RCPT TO:<carol@test.example>"
LOST = replies.RELAY_LOST.encode()
Logged = Callable[[], list[dict[str, object]]]


@pytest.mark.parametrize("last", [b"421 4.3.2 closing\r\n", b"421 4.3.2 closing\r\n354 go\r\n"])
@pytest.mark.parametrize("command", [MAIL, BOB, CAROL])
async def test_behind_a_421_nobody_is_asked_for_a_message(
    command: bytes, last: bytes, tmp_path: Path, logged: Logged
) -> None:
    def answer(number: int, line: bytes) -> bytes:
        return b"" if line == b"DATA" else last if line == command else obey(number, line)

    async with running(Relay(answer)) as pool, submitting(tmp_path, pool) as client:
        heard = await client.say(MAIL, BOB, CAROL, b"DATA")
        assert b"421 4.3.2 closing\r\n" in heard
        assert heard[-1] == LOST
        assert (await client.say(b"Subject: QUIT", b"NOOP"))[1].startswith(b"250 ")
    assert [line["event"] for line in logged()] == ["message", "connection"]


@pytest.mark.parametrize("sent", [b"DATA\r\n", b"BDAT 3 LAST\r\nx\r\n", b"BDAT 3\r\nx\r\n"])
async def test_a_yes_to_data_is_never_one_to_the_client(sent: bytes, tmp_path: Path, logged: Logged) -> None:
    relay = Relay(lambda number, line: b"250 accepted\r\n" if line == b"DATA" else obey(number, line))
    async with running(relay) as pool, submitting(tmp_path, pool) as client:
        await client.say(MAIL, BOB)
        await client.send(sent + b"BDAT 0 LAST\r\n")
        assert [await client.reply() for _ in range(2)] == [LOST, replies.MAIL_FIRST.encode()]
        await asyncio.wait_for(relay.ended[0].wait(), 10)
    assert [line["result"] for line in logged() if line["event"] == "message"] == ["refused"]


@pytest.mark.parametrize(("said", "connections"), [(b"250 2.0.0 taken\r\n", 1), (b"552 5.3.4 too big\r\n", 2)])
async def test_a_relay_that_refuses_a_message_may_not_have_read_all_of_it(
    said: bytes, connections: int, tmp_path: Path
) -> None:
    """Regression: where a refusal came early, the next transaction's commands went out behind the message's rest."""
    relay = Relay(in_message(lambda number, line: said if line == b"." else obey(number, line)))
    async with running(relay) as pool, submitting(tmp_path, pool) as client:
        for _ in range(2):
            await client.say(MAIL, BOB, b"DATA")
            await client.send(b"x\r\n.\r\n")
            assert await client.reply() == said
        assert len(relay.heard) == connections


async def test_a_chunk_without_end_is_not_read_though_the_relay_refused_it(tmp_path: Path) -> None:
    relay = Relay(lambda number, line: b"451 4.3.0 no room\r\n" if line == b"DATA" else obey(number, line))
    async with running(relay) as pool, submitting(tmp_path, pool, {"limits": {"message_size": 1000}}) as client:
        await client.say(MAIL, BOB)
        await client.send(b"BDAT 4001\r\n" + b"x" * 100)
        assert await client.reply() == b"451 4.3.0 no room\r\n"
        assert await client.reply() == b""


async def test_each_message_has_an_id_of_its_own_in_received_and_in_the_log(tmp_path: Path, logged: Logged) -> None:
    relay = TakingRelay()
    async with relay.running() as address, submitting(tmp_path, make_pool(address)) as client:
        for sent in (b"BDAT 3 LAST\r\nx\r\n", b"DATA\r\n", b"BDAT 3 LAST\r\nx\r\n"):
            await client.say(MAIL, BOB)
            await client.send(sent)
            if (await client.reply()).startswith(b"354 "):
                await client.send(b"x\r\n.\r\n")
                await client.reply()
    written = [line["id"] for line in logged() if line["event"] == "message"]
    assert [re.findall(rb"\bid ([0-9a-f]+[.][0-9]+)", trace) for trace in relay.traces] == [
        [message.encode()] for message in written
    ]
    assert len(set(written)) == 3


async def test_an_app_password_s_senders_are_the_only_ones(tmp_path: Path, logged: Logged) -> None:
    relay = Relay()
    async with running(relay) as pool, submitting(tmp_path, pool) as client:
        client.session.peer.identity = Identity(Via.AUTH, ALICE, ("scan@example.com",))
        refusal = (
            b"553 5.7.1 Sender <alice@example.com> is not one that this app password of alice@example.com is good for"
        )
        assert (await client.say(MAIL))[0].startswith(refusal)
        assert (await client.say(b"MAIL FROM:<>"))[0].startswith(b"553 5.7.1 ")
        assert (await client.say(b"MAIL FROM:<Scan@example.com>"))[0].startswith(b"250 ")
    assert [line["reason"] for line in logged() if line["event"] == "message"] == ["sender", "sender"]
    assert relay.verbs == [[b"EHLO", b"MAIL"]]


@pytest.mark.parametrize("changed", [Record(ALICE, password="a hash", is_disabled=True), None])
async def test_a_login_that_is_disabled_or_deleted_sends_nothing_more_in_an_open_session(
    changed: Record | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: who had a stolen password could go on for a day, unless limits suspend accounts."""
    monkeypatch.setattr(authenticator, "LOOKED_AGAIN", 0.0)  # a yes is good for a second otherwise
    relay = Relay()
    async with running(relay) as pool, submitting(tmp_path, pool) as client:
        assert (await client.say(MAIL, b"RSET"))[0].startswith(b"250 ")
        with contextlib.closing(open_store(f"sqlite:{tmp_path}/users.db")) as store:
            store.change(ALICE, lambda _: changed)
        assert await client.say(MAIL, BOB) == [replies.SUSPENDED.encode(), replies.MAIL_FIRST.encode()]
    assert relay.verbs == [[b"EHLO", b"MAIL"]]


async def test_while_the_store_cannot_be_read_who_logged_in_before_has_to_wait(tmp_path: Path) -> None:
    relay = Relay()
    async with running(relay) as pool, submitting(tmp_path, pool) as client:
        (tmp_path / "users.db").write_bytes(b"damaged" * 1000)
        assert await client.say(MAIL) == [replies.AUTH_UNAVAILABLE.encode()]
    assert relay.verbs == []
