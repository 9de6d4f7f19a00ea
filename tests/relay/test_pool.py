"""The pool: which connections are kept, for how long, and what happens where none can be had."""

import asyncio
import contextlib
import socket
from collections import Counter

import pytest

from submission.relay import pool as module
from submission.relay.upstream import RelayLostError, RelayUnreachableError
from tests.support.noting_relay import (
    EHLO,
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

# The kept ones


async def test_a_kept_connection_is_used_again_behind_an_rset_and_never_greeted_again() -> None:
    relay = Relay(in_message())
    async with running(relay) as pool:
        first = await transact(pool)
        for _ in range(30):
            assert await transact(pool) is first
        verbs = Counter(relay.verbs[0])
        assert len(relay.heard) == 1
        assert verbs[b"EHLO"] == 1
        assert verbs[b"NOOP"] == verbs[b"HELO"] == verbs[b"VRFY"] == 0
        assert verbs[b"RSET"] == 30
        words = [verb for verb in relay.verbs[0] if verb in (b"RSET", b"MAIL")]
        assert words == [b"MAIL", *[b"RSET", b"MAIL"] * 30]


async def test_where_the_relay_pipelines_rset_and_mail_go_out_together_else_one_by_one() -> None:
    for extension, together in ((b"PIPELINING", True), (b"HELP", False)):
        unanswered: list[bytes] = []
        rset = asyncio.Event()

        def answer(
            number: int,
            line: bytes,
            extension: bytes = extension,
            unanswered: list[bytes] = unanswered,
            rset: asyncio.Event = rset,
        ) -> bytes:
            if line[:4] == b"EHLO":
                return b"250-relay.example\r\n250 " + extension + b"\r\n"
            if line == b"RSET":
                rset.set()
                return b""
            if rset.is_set():
                unanswered.append(line)
                return b"250 reset\r\n" + obey(number, line)
            return obey(number, line)

        relay = Relay(answer)
        async with running(relay) as pool:
            upstream, _ = await begin(pool)
            upstream.close()
            beginning = asyncio.ensure_future(begin(pool))
            await rset.wait()
            if not together:
                for _ in range(20):
                    await asyncio.sleep(0)
                assert unanswered == []
                relay.writers[0].write(b"250 reset\r\n")
                relay.answer = obey
            assert (await beginning)[1].code == 250
            assert relay.verbs == [[b"EHLO", b"MAIL", b"RSET", b"MAIL"]]


@pytest.mark.parametrize("end", [None, RESET, b"421 4.4.2 too long\r\n", b"500 what\r\n", b"garbage\r\n"])
@pytest.mark.parametrize("verb", [b"RSET", b"MAIL"])
async def test_a_kept_connection_that_turns_out_dead_is_replaced_by_one_fresh_one(
    end: bytes | None, verb: bytes
) -> None:
    is_second = False

    def answer(number: int, line: bytes) -> bytes | None:
        if number == 0 and is_second and line[:4] == verb:
            return end
        return obey(number, line)

    relay = Relay(answer)
    async with running(relay) as pool:
        first, _ = await begin(pool)
        connection = connection_of(first)
        first.close()
        is_second = True
        upstream, reply = await begin(pool)
        is_answer = verb == b"MAIL" and end in (b"421 4.4.2 too long\r\n", b"500 what\r\n")
        if is_answer:  # it was alive, and that is what it says
            assert reply.encode() == end
            assert relay.verbs == [[b"EHLO", b"MAIL", b"RSET", b"MAIL"]]
        else:
            assert reply.text == "250 MAIL taken"
            assert connection_of(upstream) is not connection
            assert relay.verbs[1:] == [[b"EHLO", b"MAIL"]]
            assert not connection.pipe.is_idle


@pytest.mark.parametrize("end", [None, RESET])
async def test_no_second_fresh_one_is_tried(end: bytes | None) -> None:
    relay = Relay(lambda number, line: end if line[:4] == b"MAIL" and is_bad else obey(number, line))
    is_bad = False
    async with running(relay) as pool:
        upstream, _ = await begin(pool)
        upstream.close()
        is_bad = True
        with pytest.raises(RelayLostError):
            await begin(pool)
        assert len(relay.heard) == 2


async def test_a_fresh_connection_that_is_lost_is_not_replaced() -> None:
    relay = Relay(lambda number, line: None if line[:4] == b"MAIL" else obey(number, line))
    async with running(relay) as pool:
        with pytest.raises(RelayLostError):
            await begin(pool)
        assert len(relay.heard) == 1


@pytest.mark.parametrize("goodbye", [b"421 4.4.2 timed out\r\n", b""])
async def test_a_connection_that_the_relay_closed_in_the_meantime_is_not_even_tried(goodbye: bytes) -> None:
    relay = Relay()
    async with running(relay) as pool:
        first, _ = await begin(pool)
        first.close()
        relay.writers[0].write(goodbye)
        relay.writers[0].close()
        await until(lambda: not connection_of(first).pipe.is_idle)
        second, _ = await begin(pool)
        assert connection_of(second) is not connection_of(first)
        assert relay.verbs == [[b"EHLO", b"MAIL"], [b"EHLO", b"MAIL"]]


async def test_a_connection_with_something_under_way_is_dropped_not_kept() -> None:
    relay = Relay(lambda number, line: b"" if line[:4] == b"RCPT" else obey(number, line))
    async with running(relay) as pool:
        first, _ = await begin(pool)
        pending = first.send(b"RCPT TO:<bob@example.net>")
        first.close()
        with pytest.raises(RelayLostError):
            await pending
        await relay.ended[0].wait()
        second, _ = await begin(pool)
        assert connection_of(second) is not connection_of(first)
        assert b"QUIT" not in relay.verbs[0]


async def test_the_one_used_last_is_used_first_and_never_by_two() -> None:
    relay = Relay()
    async with running(relay) as pool:
        upstreams = [(await begin(pool))[0] for _ in range(3)]
        connections = list(map(connection_of, upstreams))
        assert len(set(map(id, connections))) == 3
        for upstream in upstreams:
            upstream.close()
        again = [connection_of((await begin(pool))[0]) for _ in range(3)]
        assert again == connections[::-1]


async def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    relay = Relay()
    async with running(relay) as pool:
        upstreams = [(await begin(pool))[0] for _ in range(3)]
        for upstream in upstreams:
            upstream.close()
        await relay.ended[2].wait()
        assert [verbs[-1] for verbs in relay.verbs] == [b"MAIL", b"MAIL", b"QUIT"]


async def test_after_its_last_use_a_connection_is_left_with_quit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_USES", 3)
    relay = Relay(in_message())
    async with running(relay) as pool:
        first = await transact(pool)
        assert [await transact(pool), await transact(pool)] == [first, first]
        await relay.ended[0].wait()
        assert relay.verbs[0][-1] == b"QUIT"
        assert await transact(pool) is not first


@pytest.mark.parametrize("by", ["sweep", "begin"])
async def test_an_idle_connection_is_left_with_quit(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    relay = Relay(in_message())
    async with running(relay) as pool:
        first = await transact(pool)
        pool.sweep()
        assert await transact(pool) is first
        monkeypatch.setattr(module, "MAX_IDLE", -1.0)
        if by == "sweep":
            pool.sweep()
        else:
            assert await transact(pool) is not first
        await relay.ended[0].wait()
        assert relay.verbs[0][-1] == b"QUIT"


async def test_closing_parts_with_all_of_them() -> None:
    relay = Relay()
    async with running(relay) as pool:
        for upstream in [(await begin(pool))[0] for _ in range(3)]:
            upstream.close()
        pool.close()
        for event in relay.ended:
            await event.wait()
        assert [verbs[-1] for verbs in relay.verbs] == [b"QUIT"] * 3


async def test_quit_of_a_connection_with_something_under_way_just_closes() -> None:
    relay = Relay()
    async with running(relay) as pool:
        upstream, _ = await begin(pool)
        pending = upstream.send(b"RCPT TO:<bob@example.net>")
        connection_of(upstream).quit()
        with pytest.raises(RelayLostError, match="done"):
            await pending


# No connection


async def test_a_refused_connection_pauses_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 30.0)
    monkeypatch.setattr(module, "LAST_PAUSE", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    pool = make_pool(f"127.0.0.1:{port}")
    with pytest.raises(RelayUnreachableError, match="Connect"):
        await begin(pool)
    relay = Relay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", port)
    with pytest.raises(RelayUnreachableError, match="not tried"):
        await begin(pool)
    assert relay.heard == []
    server.close()
    await server.wait_closed()


async def test_those_who_wait_for_their_turn_heed_the_pause_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 30.0)
    monkeypatch.setattr(module, "LAST_PAUSE", 60.0)
    relay = Relay(greeting=b"554 5.3.2 go away\r\n")
    async with running(relay) as pool:
        results = await asyncio.gather(*(begin(pool) for _ in range(50)), return_exceptions=True)
        assert all(isinstance(result, RelayUnreachableError) for result in results)
        assert len(relay.heard) <= module.MAX_CONNECTING


async def test_the_pause_doubles_up_to_a_limit_and_is_gone_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LAST_PAUSE", 0.04)
    relay = Relay(greeting=b"421 4.3.2 full\r\n")
    loop = asyncio.get_running_loop()

    async def seconds_until_it_is_tried() -> float:
        started, tried = loop.time(), len(relay.heard)
        while len(relay.heard) == tried:
            with contextlib.suppress(RelayUnreachableError):
                (await begin(pool))[0].close()
            await asyncio.sleep(0.001)
        return loop.time() - started

    async with running(relay) as pool:
        pauses = [await seconds_until_it_is_tried() for _ in range(5)]
        for pause, least in zip(pauses, [0.0, 0.005, 0.012, 0.025, 0.025], strict=True):
            assert pause >= least
        relay.greeting = b"220 relay.example\r\n"
        await seconds_until_it_is_tried()
        relay.writers[-1].close()
        upstream, reply = await begin(pool)  # at once
        assert reply.code == 250
        upstream.abort("end of the test")


@pytest.mark.parametrize(
    ("greeting", "ehlo"),
    [
        (b"554 5.7.1 no\r\n", EHLO),
        (b"", EHLO),
        (b"garbage\r\n", EHLO),
        (b"220 relay.example\r\n", b"garbage\r\n"),
        (b"220 relay.example\r\n", None),
        (b"220 relay.example\r\n", RESET),
        (b"220 relay.example\r\n", b"421 4.3.2 full\r\n"),
        (b"220 relay.example\r\n", b"550 5.7.1 not you\r\n"),
        (b"220 relay.example\r\n", b""),
        (b"220 relay.example\r\n", b"250-endless\r\n" * 10000),
    ],
)
async def test_whatever_goes_wrong_on_the_way_to_mail_the_relay_is_unreachable(
    greeting: bytes, ehlo: bytes | None
) -> None:
    relay = Relay(lambda _number, _line: ehlo, greeting)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    pool = make_pool(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", connect_timeout=0.2)
    with pytest.raises(RelayUnreachableError):
        await begin(pool)
    server.close()
    for event in relay.ended:
        await event.wait()
    await server.wait_closed()


async def test_only_so_many_connect_at_a_time() -> None:
    relay = Relay(greeting=b"")
    async with running(relay) as pool:
        beginning = [asyncio.ensure_future(begin(pool)) for _ in range(3 * module.MAX_CONNECTING)]
        await until(lambda: len(relay.heard) >= module.MAX_CONNECTING)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(relay.heard) == module.MAX_CONNECTING
        relay.greeting = b"220 relay.example\r\n"
        for writer in relay.writers:
            writer.write(relay.greeting)
        for upstream, reply in await asyncio.gather(*beginning):
            assert reply.code == 250
            upstream.abort("end of the test")


async def test_who_waits_for_his_turn_gets_what_is_given_back_meanwhile() -> None:
    relay = Relay(in_message())
    async with running(relay) as pool:
        used = connection_of(first := (await begin(pool))[0])
        relay.greeting = b""
        opening = [asyncio.ensure_future(begin(pool)) for _ in range(module.MAX_CONNECTING)]
        await until(lambda: len(relay.heard) == 1 + module.MAX_CONNECTING)
        waiting = asyncio.ensure_future(transact(pool))
        await asyncio.sleep(0)
        first.close()
        assert await waiting is used
        assert [verb for verb in relay.verbs[0] if verb in (b"RSET", b"MAIL")] == [b"MAIL", b"RSET", b"MAIL"]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)


async def test_what_is_given_back_and_turns_out_dead_is_replaced() -> None:
    is_dead = False
    relay = Relay(lambda number, line: None if is_dead and number == 0 else obey(number, line))
    async with running(relay) as pool:
        first, _ = await begin(pool)
        relay.greeting = b""
        opening = [asyncio.ensure_future(begin(pool)) for _ in range(module.MAX_CONNECTING)]
        await until(lambda: len(relay.heard) == 1 + module.MAX_CONNECTING)
        waiting = asyncio.ensure_future(begin(pool))
        await asyncio.sleep(0)
        is_dead = True
        first.close()
        await relay.ended[0].wait()
        relay.greeting = b"220 relay.example\r\n"
        for writer in relay.writers[1:]:
            writer.write(relay.greeting)
        for upstream, reply in await asyncio.gather(waiting, *opening):
            assert reply.code == 250
            upstream.abort("end of the test")


@pytest.mark.parametrize("how", ["cancelled", "late"])
async def test_who_leaves_in_the_moment_that_his_turn_comes_passes_it_on(how: str) -> None:
    relay = Relay(greeting=b"")
    async with running(relay) as pool:
        opening = [asyncio.ensure_future(pool.connect()) for _ in range(module.MAX_CONNECTING)]
        await until(lambda: len(relay.heard) == module.MAX_CONNECTING)
        leaving = asyncio.ensure_future(pool.connect())
        if how == "late":
            pool.settings = pool.settings.model_copy(update={"connect_timeout": 0.0})
        await asyncio.sleep(0)
        pool.settings = pool.settings.model_copy(update={"connect_timeout": 10.0})
        staying = asyncio.ensure_future(pool.connect())
        await asyncio.sleep(0)
        relay.greeting = b"220 relay.example\r\n"
        opening[0].cancel()
        if how == "cancelled":
            await until(opening[0].done)
            leaving.cancel()
        with pytest.raises(asyncio.CancelledError if how == "cancelled" else RelayUnreachableError):
            await leaving
        (await staying).quit()
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)


async def test_a_session_that_is_cancelled_while_it_connects_leaves_nothing_behind() -> None:
    relay = Relay(lambda number, line: b"" if line[:4] == b"EHLO" else obey(number, line))
    async with running(relay) as pool:
        beginning = asyncio.ensure_future(begin(pool))
        await until(lambda: relay.verbs == [[b"EHLO"]])
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        await relay.ended[0].wait()
        relay.answer = obey
        assert (await begin(pool))[1].code == 250


async def test_a_refusal_behind_a_success_pauses_for_the_least_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LAST_PAUSE", 60.0)
    relay = Relay(greeting=b"421 4.3.2 full\r\n")
    async with running(relay) as pool:
        for _ in range(2):
            with pytest.raises(RelayUnreachableError):
                await begin(pool)
            pool._paused_until = 0.0
        assert pool._pause == 0.02
        relay.greeting = b"220 relay.example\r\n"
        (await begin(pool))[0].abort("enough")
        relay.greeting = b"421 4.3.2 full\r\n"
        with pytest.raises(RelayUnreachableError):
            await begin(pool)
        assert pool._pause == 0.01
