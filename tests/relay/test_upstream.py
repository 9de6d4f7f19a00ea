"""A transaction's relay: what is told to whom, on which connection, and what is tried again."""

import asyncio
from pathlib import Path

import pytest

from submission.core.xclient import Client
from submission.relay.upstream import RelayLostError, RelayUnreachableError, Upstream
from tests.support.noting_relay import (
    ALICE,
    MAIL,
    RESET,
    Relay,
    begin,
    connection_of,
    in_message,
    make_pool,
    obey,
    running,
    transact,
    until,
)

# One connection


async def test_a_fresh_connection_gets_ehlo_once_and_no_rset() -> None:
    relay = Relay(in_message())
    async with running(relay) as pool:
        assert pool.extensions == {}
        connection = await transact(pool)
        assert relay.heard == [[b"EHLO mail.example.com", MAIL, b"RCPT TO:<bob@example.net>", b"DATA", b"body", b"."]]
        assert connection.extensions == {"PIPELINING": "", "8BITMIME": "", "SIZE": "1000", "DSN": ""}
        assert pool.extensions == connection.extensions


async def test_a_unix_socket(tmp_path: Path) -> None:
    relay = Relay(in_message())
    server = await asyncio.start_unix_server(relay.serve, tmp_path / "relay")
    pool = make_pool(f"unix:{tmp_path}/relay")
    await transact(pool)
    pool.close()
    await relay.ended[0].wait()
    server.close()
    await server.wait_closed()


async def test_a_refused_mail_is_an_answer() -> None:
    relay = Relay(lambda number, line: b"550 5.7.1 no\r\n" if line == MAIL else obey(number, line))
    async with running(relay) as pool:
        upstream, reply = await begin(pool)
        assert reply.code == 550
        upstream.close()
        assert connection_of((await begin(pool))[0]) is connection_of(upstream)
        assert relay.verbs == [[b"EHLO", b"MAIL", b"RSET", b"MAIL"]]


async def test_the_final_reply_has_its_own_time() -> None:
    relay = Relay(in_message(lambda number, line: b"" if line == b"." else obey(number, line)))
    async with running(relay) as pool:
        patient, _ = await begin(pool)
        await patient.send(b"DATA")
        port = relay.writers[0].get_extra_info("sockname")[1]
        hasty, _ = await begin(make_pool(f"localhost:{port}", final_timeout=0.05))
        await hasty.send(b"DATA")
        with pytest.raises(RelayLostError, match="in time"):
            await hasty.finish(b".\r\n", is_message=True)
        waiting = patient.finish(b".\r\n", is_message=True)
        assert not waiting.done()
        patient.abort("end of the test")


# What is sent ahead


RCPT = b"RCPT TO:<bob@example.net>"
XCLIENT = b"250-relay.example\r\n250-PIPELINING\r\n250 XCLIENT NAME ADDR HELO LOGIN\r\n"


async def test_commands_wait_for_a_connection_and_go_out_together() -> None:
    relay = Relay()
    async with running(relay) as pool:
        upstream = Upstream(pool, lambda: ALICE)
        replies = [upstream.send(command) for command in (MAIL, RCPT, b"DATA")]
        assert [reply.code for reply in await asyncio.gather(*replies)] == [250, 250, 354]
        assert relay.heard == [[b"EHLO mail.example.com", MAIL, RCPT, b"DATA"]]
        upstream.abort("end of the test")


@pytest.mark.parametrize("end", [None, RESET, b"garbage\r\n"])
async def test_all_that_was_sent_ahead_is_sent_again_on_a_fresh_connection(end: bytes | None) -> None:
    is_dead = False
    relay = Relay(lambda number, line: end if is_dead and number == 0 else obey(number, line))
    async with running(relay) as pool:
        (await begin(pool))[0].close()
        is_dead = True
        upstream = Upstream(pool, lambda: ALICE)
        replies = [upstream.send(command) for command in (MAIL, RCPT, b"DATA")]
        assert [reply.code for reply in await asyncio.gather(*replies)] == [250, 250, 354]
        assert relay.heard[1] == [b"EHLO mail.example.com", MAIL, RCPT, b"DATA"]
        upstream.abort("end of the test")


async def test_once_mail_was_answered_nothing_is_tried_again() -> None:
    relay = Relay(lambda number, line: None if line == RCPT else obey(number, line))
    async with running(relay) as pool:
        (await begin(pool))[0].close()
        upstream = Upstream(pool, lambda: ALICE)
        mail, recipient = upstream.send(MAIL), upstream.send(RCPT)
        assert (await mail).code == 250
        with pytest.raises(RelayLostError):
            await recipient
        assert len(relay.heard) == 1
        assert upstream.loss is not None
        with pytest.raises(RelayLostError):
            await upstream.send(RCPT)


async def test_where_no_fresh_connection_can_be_had_all_of_them_hear_it() -> None:
    relay = Relay()
    async with running(relay) as pool:
        (await begin(pool))[0].close()
        relay.greeting = b"554 5.3.2 no\r\n"
        relay.answer = lambda _number, _line: None
        upstream = Upstream(pool, lambda: ALICE)
        for reply in [upstream.send(MAIL), upstream.send(RCPT), upstream.send(b"DATA")]:
            with pytest.raises(RelayUnreachableError):
                await reply
        with pytest.raises(RelayUnreachableError):
            await upstream.send(RCPT)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_transaction_that_ends_before_there_is_a_connection_leaves_nothing_behind(how: str) -> None:
    relay = Relay(greeting=b"")
    async with running(relay) as pool:
        pool.settings = pool.settings.model_copy(update={"connect_timeout": 1.0})
        upstream = Upstream(pool, lambda: ALICE)
        reply = upstream.send(MAIL)
        await until(lambda: len(relay.heard) == 1)
        upstream.close() if how == "close" else upstream.abort("enough")
        with pytest.raises(RelayLostError):
            await reply
        await relay.ended[0].wait()
        assert relay.heard == [[]]


async def test_who_is_done_says_nothing_more_on_the_connection_of_the_next() -> None:
    relay = Relay()
    async with running(relay) as pool:
        first, _ = await begin(pool)
        first.close()
        second, _ = await begin(pool)
        with pytest.raises(RelayLostError):
            await first.send(RCPT)
        first.close()
        assert (await second.send(RCPT)).code == 250
        assert relay.verbs == [[b"EHLO", b"MAIL", b"RSET", b"MAIL", b"RCPT"]]


# XCLIENT


def announcing(number: int, line: bytes) -> bytes | None:
    if line[:4] == b"EHLO":
        return XCLIENT
    return b"220 again\r\n" if line[:7] == b"XCLIENT" else obey(number, line)


async def test_a_relay_that_wants_to_know_is_told_of_each_client_and_of_none_twice() -> None:
    bob = Client("bob@example.com", "203.0.113.5", "laptop", is_hidden=False)
    relay = Relay(in_message(announcing))
    async with running(relay) as pool:
        for client in (ALICE, ALICE, bob, ALICE):
            await transact(pool, client)
        commands = [line for line in relay.heard[0] if line[:4] in (b"EHLO", b"XCLI", b"RSET", b"MAIL")]
        hello, alice = b"EHLO mail.example.com", b"XCLIENT LOGIN=alice@example.com"
        assert commands == [
            *(hello, alice, hello, MAIL),
            *(b"RSET", MAIL),
            *(b"XCLIENT LOGIN=bob@example.com ADDR=203.0.113.5 NAME=[UNAVAILABLE] HELO=laptop", hello, MAIL),
            *(alice, hello, MAIL),
        ]


async def test_where_it_does_not_believe_us_nothing_is_sent() -> None:
    refusing = Relay(
        lambda number, line: b"550 5.7.0 not you\r\n" if line[:7] == b"XCLIENT" else announcing(number, line)
    )
    async with running(refusing) as pool:
        with pytest.raises(RelayLostError, match="not you"):
            await begin(pool)
        assert refusing.verbs == [[b"EHLO", b"XCLI"]]


async def test_one_that_wants_to_know_only_what_we_do_not_tell_is_told_nothing() -> None:
    hello = XCLIENT.replace(b"NAME ADDR HELO LOGIN", b"NAME ADDR")
    relay = Relay(lambda number, line: hello if line[:4] == b"EHLO" else announcing(number, line))
    async with running(relay) as pool:
        for client in (ALICE, Client("bob@example.com")):
            (await begin(pool, client))[0].close()
        assert relay.verbs == [[b"EHLO", b"MAIL", b"RSET", b"MAIL"]]


async def test_a_fault_of_ours_while_it_is_told_leaves_no_connection_behind() -> None:
    relay = Relay(announcing)
    async with running(relay) as pool:
        with pytest.raises(RelayLostError, match="internal error"):
            await begin(pool, Client("\ud800"))  # no login that we let pass can be written so
        await relay.ended[0].wait()


async def test_a_kept_connection_that_died_is_replaced_at_xclient_too() -> None:
    is_dead = False
    relay = Relay(lambda number, line: None if is_dead and number == 0 else announcing(number, line))
    async with running(relay) as pool:
        (await begin(pool))[0].close()
        is_dead = True
        _, reply = await begin(pool, Client("bob@example.com"))
        assert reply.code == 250
        assert relay.verbs[1] == [b"EHLO", b"XCLI", b"EHLO", b"MAIL"]
