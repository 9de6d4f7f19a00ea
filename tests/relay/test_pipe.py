"""The pipe on real sockets. Where it matters how the relay's octets are cut, they go to the protocol's callback, as the
event loop hands them over: a socket would put the pieces together again."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.replies import Reply
from submission.relay.pipe import MAX_LINES, MAX_REPLY, Pipe, RelayLostError

SOON = 30.0
"""Seconds; no test waits for it to be over."""


@dataclass
class Relay:
    """The other end of a pipe, in the hands of a test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """Close so that the other side gets RST."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def connected(*, pipelines: bool = True) -> AsyncIterator[tuple[Pipe, Relay]]:
    """A pipe and what it is connected with, over TCP."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        _, pipe = await loop.create_connection(lambda: Pipe(loop, pipelines=pipelines), *listening.getsockname())
        sock, _ = await loop.sock_accept(listening)
    relay = Relay(*await asyncio.open_connection(sock=sock))
    try:
        yield pipe, relay
    finally:
        pipe.abort("end of the test")
        with contextlib.suppress(ConnectionError):
            await relay.reader.read()
        relay.writer.close()
        with contextlib.suppress(ConnectionError):
            await relay.writer.wait_closed()


def ask(pipe: Pipe, command: bytes, timeout: float = SOON) -> "asyncio.Future[Reply]":
    """Send a command; the future that its reply comes to."""
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    pipe.send(command, timeout, future)
    return future


async def sent() -> None:
    """Let what was sent go out."""
    await asyncio.sleep(0)


async def lost(future: "asyncio.Future[Reply]") -> RelayLostError:
    with pytest.raises(RelayLostError) as caught:
        await future
    return caught.value


# Replies


async def test_a_command_and_its_reply() -> None:
    async with connected() as (pipe, relay):
        assert pipe.is_idle
        future = ask(pipe, b"NOOP\r\n", SOON)
        assert await relay.reader.readline() == b"NOOP\r\n"
        assert not pipe.is_idle
        relay.writer.write(b"250 2.0.0 Fine\r\n")
        assert await future == Reply(250, (b"2.0.0 Fine",))
        assert pipe.is_idle


async def test_replies_come_to_their_commands_in_order() -> None:
    async with connected() as (pipe, relay):
        futures = [ask(pipe, b"%d\r\n" % number, SOON) for number in range(3)]
        assert await relay.reader.readexactly(9) == b"0\r\n1\r\n2\r\n"
        relay.writer.write(b"250 zero\r\n550 one\r\n252 two\r\n")
        assert [reply.text for reply in await asyncio.gather(*futures)] == ["250 zero", "550 one", "252 two"]
        assert pipe.is_idle


texts = st.binary(max_size=20).map(lambda text: text.translate(None, bytes(range(32)) + b"\x7f"))
relay_replies = st.builds(
    Reply, st.sampled_from([200, 250, 299, 421, 550, 599]), st.lists(texts, min_size=1, max_size=4).map(tuple)
)


@given(st.lists(relay_replies, min_size=1, max_size=5), st.data(), st.sampled_from([b"\r\n", b"\n"]))
async def test_however_they_are_cut_the_replies_are_the_same(
    replies: list[Reply], data: st.DataObject, line_end: bytes
) -> None:
    octets = b"".join(reply.encode() for reply in replies).replace(b"\r\n", line_end)
    places = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=10)))
    async with connected() as (pipe, _):
        futures = [ask(pipe, b"NOOP\r\n", SOON) for _ in replies]
        await sent()
        for start, end in zip([0, *places], [*places, len(octets)], strict=True):
            pipe.data_received(octets[start:end])
            assert pipe.is_idle == all(future.done() for future in futures)
        assert [await future for future in futures] == replies
        assert pipe.is_idle


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"250\r\n", Reply(250, (b"",))),
        (b"250 \r\n", Reply(250, (b"",))),
        (b"250-\r\n250\r\n", Reply(250, (b"", b""))),
        (b"250-one\r\n250-two\r\n250 three\r\n", Reply(250, (b"one", b"two", b"three"))),
        (b"250  two blanks \r\n", Reply(250, (b" two blanks ",))),
        (b"550 5.1.1 gr\xfc\xdfe \xe2\x82\xac\r\n", Reply(550, (b"5.1.1 gr\xfc\xdfe \xe2\x82\xac",))),
        (b"250 a\tb\r\n", Reply(250, (b"a\tb",))),
        (b"250 a\rb\0c\x1bd\x7fe\r\n", Reply(250, (b"a?b?c?d?e",))),
        (b"550 " + b"x" * 5000 + b"\r\n", Reply(550, (b"x" * 5000,))),
    ],
)
async def test_replies_are_kept_as_they_came(octets: bytes, reply: Reply) -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"NOOP\r\n", SOON)
        relay.writer.write(octets)
        assert await future == reply
        assert pipe.is_idle


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b"hello\r\n",
        b"25 OK\r\n",
        b"2500 OK\r\n",
        b"250OK\r\n",
        b"250_OK\r\n",
        b"250\tOK\r\n",
        b" 250 OK\r\n",
        b"050 OK\r\n",
        b"150 OK\r\n",
        b"334 OK\r\n",
        b"650 OK\r\n",
        b"\xb2\xb5\xb0 OK\r\n",
        b"-250 OK\r\n",
        b"250-one\r\n550 two\r\n",
        b"250-one\r\n251 two\r\n",
        b"250-one\r\ntwo\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\0\2\2\n",
    ],
)
async def test_what_is_no_reply_fails_all_that_is_under_way(octets: bytes) -> None:
    async with connected() as (pipe, relay):
        futures = [ask(pipe, b"NOOP\r\n", SOON) for _ in range(2)]
        relay.writer.write(octets + b"250 OK\r\n250 OK\r\n")
        for future in futures:
            assert (await lost(future)).reply is None
        assert pipe.lost is not None
        assert not pipe.is_idle
        assert b"\n" not in str(pipe.lost).encode()
        await relay.reader.readuntil(b"NOOP\r\nNOOP\r\n")
        with contextlib.suppress(ConnectionError):
            assert await relay.reader.read() == b""  # closed, not left


@given(st.binary(max_size=60), st.data())
async def test_whatever_comes_nothing_is_raised_and_every_command_ends(octets: bytes, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=3)))
    async with connected() as (pipe, _):
        futures = [ask(pipe, b"NOOP\r\n", SOON) for _ in range(2)]
        await sent()
        for start, end in zip([0, *places], [*places, len(octets)], strict=True):
            if pipe.lost is None:
                pipe.data_received(octets[start:end])
        assert pipe.lost is None or all(future.done() for future in futures)
        for future in futures:
            if future.done() and future.exception() is None:
                assert b"%d" % future.result().code in octets


@pytest.mark.parametrize("size", [1000, 65536, 10 * MAX_REPLY])
@pytest.mark.parametrize(
    "octets",
    [
        b"x" * (2 * MAX_REPLY),
        b"250 " + b"x" * MAX_REPLY + b"\r\n",
        b"250-" + b"x" * MAX_REPLY + b"\r\n250 OK\r\n",
        b"250-x\r\n" * (MAX_REPLY // 7 + 1) + b"250 OK\r\n",
        b"250-" * MAX_REPLY,
        b"250-x\r\n" * MAX_LINES + b"250 OK\r\n",
    ],
    ids=["no line", "long line", "long first line", "many octets", "no line but codes", "many lines"],
)
async def test_a_reply_has_an_end(octets: bytes, size: int) -> None:
    async with connected() as (pipe, _):
        future = ask(pipe, b"NOOP\r\n", SOON)
        await sent()
        for start in range(0, len(octets), size):
            pipe.data_received(octets[start : start + size])
            if pipe.lost is not None:
                break
        assert "without end" in str(await lost(future))


@pytest.mark.parametrize("size", [1000, 65536, 10 * MAX_REPLY])
async def test_the_longest_replies_are_taken_however_many_come_together(size: int) -> None:
    longest = b"250 " + b"x" * (MAX_REPLY - 6) + b"\r\n"
    most = b"250-x\r\n" * (MAX_LINES - 1) + b"250 x\r\n"
    octets = longest + most + longest
    async with connected() as (pipe, _):
        futures = [ask(pipe, b"NOOP\r\n", SOON) for _ in range(3)]
        await sent()
        for start in range(0, len(octets), size):
            pipe.data_received(octets[start : start + size])
        assert [len((await future).lines) for future in futures] == [1, MAX_LINES, 1]


# What comes unasked


@pytest.mark.parametrize(
    ("octets", "code"), [(b"421 4.3.2 closing\r\n", 421), (b"552 5.3.4 too big\r\n", 552), (b"250 OK\r\n", None)]
)
async def test_a_reply_inside_a_body_ends_it_and_only_a_no_is_believed(octets: bytes, code: int | None) -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"DATA\r\n", SOON)
        relay.writer.write(b"354 go\r\n")
        assert (await future).code == 354
        await pipe.write_body(b"Subject: hi\r\n", SOON)
        relay.writer.write(octets)
        with contextlib.suppress(ConnectionError):
            await relay.reader.read()  # until the pipe has closed
        with pytest.raises(RelayLostError) as caught:
            await pipe.write_body(b"more\r\n", SOON)
        assert (caught.value.reply.code if caught.value.reply else None) == code
        end = await lost(ask(pipe, b".\r\n", SOON))
        assert (end.reply.code if end.reply else None) == code


async def test_a_goodbye_between_commands_is_not_taken_for_the_next_reply() -> None:
    async with connected() as (pipe, relay):
        relay.writer.write(b"421 4.4.2 bored\r\n")
        with contextlib.suppress(ConnectionError):
            await relay.reader.read()
        assert not pipe.is_idle
        error = await lost(ask(pipe, b"MAIL FROM:<>\r\n", SOON))
        assert error.reply == Reply(421, (b"4.4.2 bored",))


async def test_one_reply_too_many_leaves_the_good_ones_good() -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"NOOP\r\n", SOON)
        relay.writer.write(b"250 yes\r\n250 another\r\n")
        assert await future == Reply(250, (b"yes",))
        with contextlib.suppress(ConnectionError):
            await relay.reader.read()
        assert pipe.lost is not None
        assert pipe.lost.reply is None


@pytest.mark.parametrize("octets", [b"2", b"250", b"250-half\r\n", b"250-half\r\n25"])
async def test_a_reply_that_was_begun_unasked_is_not_idle(octets: bytes) -> None:
    async with connected() as (pipe, _):
        pipe.data_received(octets)
        assert not pipe.is_idle


# Ends


@pytest.mark.parametrize("said", [b"", b"250", b"250-one\r\n", b"250-one\r\n250 tw"])
@pytest.mark.parametrize("by", ["eof", "reset"])
async def test_an_end_before_the_whole_reply(said: bytes, by: str) -> None:
    async with connected() as (pipe, relay):
        futures = [ask(pipe, b"NOOP\r\n", SOON) for _ in range(2)]
        await relay.reader.readexactly(12)
        relay.writer.write(said)
        await relay.writer.drain()
        if by == "eof":
            relay.writer.close()
        else:
            relay.reset()
        for future in futures:
            assert (await lost(future)).reply is None
        assert not pipe.is_idle
        await lost(ask(pipe, b"NOOP\r\n", SOON))


async def test_a_reply_and_then_the_end_is_a_reply() -> None:
    async with connected() as (pipe, relay):
        first, second = ask(pipe, b"MAIL\r\n", SOON), ask(pipe, b"RCPT\r\n", SOON)
        await relay.reader.readexactly(12)
        relay.writer.write(b"421 going\r\n")
        relay.writer.close()
        assert (await first).code == 421
        await lost(second)


async def test_an_end_while_nothing_is_under_way() -> None:
    async with connected() as (pipe, relay):
        relay.writer.write_eof()
        assert await relay.reader.read() == b""
        assert not pipe.is_idle
        with pytest.raises(RelayLostError):
            await pipe.write_body(b"x", SOON)


async def test_aborting_fails_what_is_under_way_with_the_reason() -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"NOOP\r\n", SOON)
        pipe.abort("a good reason")
        assert "a good reason" in str(await lost(future))
        pipe.abort("another")
        assert "a good reason" in str(await lost(ask(pipe, b"NOOP\r\n", SOON)))
        with contextlib.suppress(ConnectionError):
            await relay.reader.read()
        assert pipe.transport is None or pipe.transport.is_closing()


async def test_a_reply_that_nobody_waits_for_any_more_keeps_its_place() -> None:
    async with connected() as (pipe, relay):
        first, second = ask(pipe, b"A\r\n", SOON), ask(pipe, b"B\r\n", SOON)
        first.cancel()
        relay.writer.write(b"250 for a\r\n550 for b\r\n")
        assert await second == Reply(550, (b"for b",))
        third = ask(pipe, b"C\r\n", SOON)
        third.cancel()
        pipe.abort("enough")


# Time


async def test_silence_fails_the_command() -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"NOOP\r\n", 0.02)
        assert "in time" in str(await lost(future))
        await relay.reader.readuntil(b"NOOP\r\n")
        with contextlib.suppress(ConnectionError):
            assert await relay.reader.read() == b""


async def test_the_time_for_a_reply_starts_with_the_reply_before() -> None:
    async with connected() as (pipe, relay):
        loop = asyncio.get_running_loop()
        first, second = ask(pipe, b"A\r\n", 0.3), ask(pipe, b"B\r\n", 0.3)
        loop.call_later(0.15, relay.writer.write, b"250 a\r\n")
        await first
        answered = loop.time()
        await lost(second)
        assert loop.time() - answered >= 0.29


async def test_after_the_last_reply_silence_is_no_fault() -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"A\r\n", 0.05)
        relay.writer.write(b"250 a\r\n")
        await future
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.1, over.set_result, None)
        await over
        assert pipe.is_idle


async def test_half_a_reply_is_silence_too() -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"NOOP\r\n", 0.05)
        relay.writer.write(b"250-and\r\n250-so\r\n250 o")
        assert "in time" in str(await lost(future))


# Bodies


async def test_a_body_arrives_whole_and_no_faster_than_it_is_taken() -> None:
    body = bytes(range(256)) * 65536  # 16 MiB, more than the two sockets hold
    async with connected() as (pipe, relay):
        writing = asyncio.ensure_future(pipe.write_body(body, SOON))
        assert await relay.reader.readexactly(1000) == body[:1000]
        assert not writing.done()
        assert await relay.reader.readexactly(len(body) - 1000) == body[1000:]
        await writing
        assert not pipe.is_idle  # the end is owed; but no deadline is left, a write that waited has cleared it
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        pipe.finish_body(b".\r\n", SOON, future)
        assert await relay.reader.readexactly(3) == b".\r\n"
        relay.writer.write(b"250 taken\r\n")
        assert (await future).code == 250
        assert pipe.is_idle


async def test_the_time_for_taking_a_body_ends_when_it_is_taken() -> None:
    async with connected() as (pipe, relay):
        writing = asyncio.ensure_future(pipe.write_body(b"x" * (16 << 20), 0.3))
        await relay.reader.readexactly(16 << 20)
        await writing
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.4, over.set_result, None)
        await over
        assert pipe.lost is None


@pytest.mark.parametrize(("octets", "code"), [(b"552 5.3.4 too big\r\n", 552), (b"250 taken\r\n", None)])
async def test_a_reply_to_an_end_that_was_not_sent_yet_is_a_refusal_at_most(octets: bytes, code: int | None) -> None:
    """Regression: it was the final reply, and the connection kept, although a part of the body had still to go out."""
    async with connected() as (pipe, relay):
        future = ask(pipe, b"DATA\r\n")
        relay.writer.write(b"354 go\r\n")
        assert (await future).code == 354
        future = asyncio.get_running_loop().create_future()
        pipe.finish_body(b"x" * (16 << 20) + b"\r\n.\r\n", SOON, future)
        await relay.reader.readexactly(1000)
        relay.writer.write(octets)
        end = await lost(future)
        assert (end.reply.code if end.reply else None) == code
        assert not pipe.is_idle


async def test_a_body_that_was_not_finished_is_owed() -> None:
    async with connected() as (pipe, relay):
        future = ask(pipe, b"DATA\r\n")
        await relay.reader.readline()
        relay.writer.write(b"354 go\r\n")
        assert (await future).code == 354
        assert not pipe.is_idle


async def test_a_relay_that_takes_nothing_is_given_up() -> None:
    async with connected() as (pipe, _):
        with pytest.raises(RelayLostError, match="in time"):
            await pipe.write_body(b"x" * (16 << 20), 0.05)
        with pytest.raises(RelayLostError, match="in time"):
            await pipe.write_body(b"x", SOON)


@pytest.mark.parametrize("by", ["reset", "reply", "abort", "broken TLS"])
async def test_a_body_that_waits_for_room_hears_of_the_end(by: str) -> None:
    async with connected() as (pipe, relay):
        writing = asyncio.ensure_future(pipe.write_body(b"x" * (16 << 20), SOON))
        await relay.reader.readexactly(1)
        if by == "reset":
            relay.reset()
        elif by == "abort":
            pipe.abort("client gone")
        elif by == "broken TLS":
            pipe.connection_lost(ssl.SSLError("bad record"))
        else:
            relay.writer.write(b"452 4.3.1 disk full\r\n")
        with pytest.raises(RelayLostError) as caught:
            await writing
        assert (caught.value.reply is not None) == (by == "reply")


# One at a time


async def test_to_a_relay_that_does_not_pipeline_the_commands_go_one_by_one() -> None:
    async with connected(pipelines=False) as (pipe, relay):
        futures = [ask(pipe, b"%d\r\n" % number) for number in range(3)]
        for number, future in enumerate(futures):
            assert await relay.reader.readline() == b"%d\r\n" % number
            await sent()
            assert relay.reader._buffer == b""  # type: ignore[attr-defined]
            assert not future.done()
            relay.writer.write(b"250 %d\r\n" % number)
            assert (await future).lines == (b"%d" % number,)
        assert pipe.is_idle


async def test_a_reply_to_what_was_not_sent_yet_is_unasked() -> None:
    async with connected() as (pipe, _):
        future = ask(pipe, b"MAIL FROM:<>\r\n")
        pipe.data_received(b"421 4.4.2 bored\r\n")
        assert (await lost(future)).reply == Reply(421, (b"4.4.2 bored",))


# What has to be a yes, and what is moved elsewhere


@pytest.mark.parametrize("answer", [b"500 what\r\n", b"421 bye\r\n", b"354 go\r\n"])
async def test_a_no_where_it_has_to_be_a_yes_ends_all_that_comes_behind(answer: bytes) -> None:
    async with connected() as (pipe, relay):
        pipe.send(b"RSET\r\n", SOON)
        future = ask(pipe, b"MAIL FROM:<>\r\n")
        await relay.reader.readline()
        relay.writer.write(answer + b"250 sender ok\r\n")
        assert "refused" in str(await lost(future))
        assert not pipe.is_idle


async def test_a_yes_where_it_has_to_be_one_is_nobodys_reply() -> None:
    async with connected() as (pipe, relay):
        pipe.send(b"RSET\r\n", SOON)
        future = ask(pipe, b"MAIL FROM:<>\r\n")
        await relay.reader.readline()
        relay.writer.write(b"250 reset\r\n250 sender ok\r\n")
        assert await future == Reply(250, (b"sender ok",))
        assert pipe.is_idle


@pytest.mark.parametrize("sees_to_them", [True, False])
async def test_who_sees_to_those_who_wait_decides_whether_they_hear_of_a_loss(sees_to_them: bool) -> None:
    told = []
    async with connected() as (pipe, relay):
        pipe.on_loss = lambda: told.append(pipe.lost) or sees_to_them
        future = ask(pipe, b"MAIL FROM:<>\r\n")
        await relay.reader.readline()
        relay.writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await relay.reader.read()
        assert told == [pipe.lost]
        assert pipe.lost is not None
        assert future.done() is not sees_to_them
        future.cancel()


async def test_whoever_aborts_wants_nothing_to_be_rescued() -> None:
    async with connected() as (pipe, _):
        pipe.on_loss = lambda: True
        future = ask(pipe, b"MAIL FROM:<>\r\n")
        pipe.abort("no more")
        assert "no more" in str(await lost(future))
