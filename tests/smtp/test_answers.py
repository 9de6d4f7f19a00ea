import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from submission.core import replies
from submission.core.replies import Reply
from submission.relay.upstream import RelayError, RelayLostError
from submission.smtp.answers import Answers
from submission.smtp.stream import ClientStream

RCPT_OK = Reply(250, (b"2.1.5 bob ok",))
RCPT_NO = Reply(550, (b"5.1.1 carol",))


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[Answers, ClientStream, asyncio.StreamReader]]:
    """Answers, their stream, and the client who reads them."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    stream = ClientStream(loop, transport, 30.0)
    try:
        yield Answers(stream), stream, reader
    finally:
        transport.abort()
        await reader.read()
        writer.close()
        await writer.wait_closed()


async def heard(stream: ClientStream, reader: asyncio.StreamReader) -> bytes:
    """What the client has been sent, up to now."""
    stream.write(b"mark\r\n")
    await stream.flush()
    return (await reader.readuntil(b"mark\r\n")).removesuffix(b"mark\r\n")


def promise(answers: Answers, future: "asyncio.Future[Reply]") -> list[object]:
    """Promise it; the list holds what the callbacks were told."""
    told: list[object] = []

    def lose(error: RelayError) -> Reply:
        told.append(error)
        return replies.RELAY_LOST

    def take(reply: Reply) -> Reply:
        told.append(reply)
        return reply

    answers.promise(future, take, lose)
    return told


async def test_without_promises_an_answer_goes_straight_to_the_stream() -> None:
    async with connected() as (answers, stream, reader):
        answers.say(replies.OK)
        assert await heard(stream, reader) == replies.OK.encode()


async def test_answers_wait_behind_what_was_promised_before() -> None:
    async with connected() as (answers, stream, reader):
        first: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        second: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        promise(answers, first)
        answers.say(replies.SYNTAX_ERROR)
        promise(answers, second)
        answers.say(replies.OK)
        assert await heard(stream, reader) == b""
        second.set_result(RCPT_NO)  # in whatever order they come
        first.set_result(RCPT_OK)
        await answers.settle()
        expected = (RCPT_OK, replies.SYNTAX_ERROR, RCPT_NO, replies.OK)
        assert await heard(stream, reader) == b"".join(reply.encode() for reply in expected)


async def test_a_reply_is_told_before_it_is_written_and_the_next_not_before_that() -> None:
    async with connected() as (answers, stream, reader):
        first: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        second: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        told_first, told_second = promise(answers, first), promise(answers, second)
        second.set_result(RCPT_NO)
        settling = asyncio.ensure_future(answers.settle())
        await asyncio.sleep(0)
        assert (told_first, told_second) == ([], [])
        first.set_result(RCPT_OK)
        await settling
        assert (told_first, told_second) == ([RCPT_OK], [RCPT_NO])
        assert await heard(stream, reader) == RCPT_OK.encode() + RCPT_NO.encode()


async def test_where_the_relay_is_lost_each_promise_is_kept_by_a_reply_of_ours() -> None:
    async with connected() as (answers, stream, reader):
        error = RelayLostError("gone")
        told = []
        for _ in range(2):
            future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            future.set_exception(error)
            told.append(promise(answers, future))
        await answers.settle()
        assert told == [[error], [error]]
        assert await heard(stream, reader) == replies.RELAY_LOST.encode() * 2


async def test_what_is_promised_while_they_are_settled_is_settled_too() -> None:
    async with connected() as (answers, stream, reader):
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        second.set_result(RCPT_NO)

        def take(reply: Reply) -> Reply:
            promise(answers, second)
            return reply

        answers.promise(first, take, lambda _: replies.RELAY_LOST)
        first.set_result(RCPT_OK)
        await answers.settle()
        assert await heard(stream, reader) == RCPT_OK.encode() + RCPT_NO.encode()


async def test_a_session_that_is_over_breaks_its_promises() -> None:
    async with connected() as (answers, stream, reader):
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        told = promise(answers, future)
        answers.say(replies.OK)
        answers.forget()
        answers.say(replies.SHUTTING_DOWN)
        future.set_result(RCPT_OK)
        await answers.settle()
        assert told == []
        assert await heard(stream, reader) == replies.SHUTTING_DOWN.encode()


async def test_a_failure_of_ours_is_not_taken_for_the_relays() -> None:
    async with connected() as (answers, _, _):
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        told = promise(answers, future)
        future.set_exception(RuntimeError("a bug"))
        with pytest.raises(RuntimeError):
            await answers.settle()
        assert told == []


async def test_what_is_said_is_what_the_callback_makes_of_it() -> None:
    async with connected() as (answers, stream, reader):
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        answers.promise(future, lambda reply: Reply(reply.code, (b"2.1.5 other words",)), lambda _: replies.RELAY_LOST)
        future.set_result(RCPT_OK)
        await answers.settle()
        assert await heard(stream, reader) == b"250 2.1.5 other words\r\n"


async def test_nobody_is_told_to_go_ahead_by_a_reply_to_something_else() -> None:
    async with connected() as (answers, stream, reader):
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        told = promise(answers, future)
        future.set_result(Reply(354, (b"go",)))
        await answers.settle()
        assert [str(error) for error in told] == ["354 to a command"]
        assert await heard(stream, reader) == replies.RELAY_LOST.encode()
