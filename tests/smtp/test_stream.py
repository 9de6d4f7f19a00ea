"""A client's stream on real sockets: the test holds the client's end."""

import asyncio
import contextlib
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.certificates import write_certificates
from submission.smtp import stream as module
from submission.smtp.stream import (
    HIGH_WATER,
    MAX_OUTPUT,
    MAX_SKIPPED,
    BadLineError,
    ClientGoneError,
    ClientIdleError,
    ClientStream,
    ForeignProtocolError,
)
from submission.smtp.tls import make_context

SOON = 30.0
"""Seconds; no test waits for it to be over."""
LIMIT = 100


class Protocol(asyncio.Protocol):
    """What a session's callbacks do, and nothing else."""

    stream: ClientStream

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.stream = ClientStream(asyncio.get_running_loop(), transport, self.timeout)

    def data_received(self, data: bytes) -> None:
        self.stream.feed(data)

    def eof_received(self) -> bool:
        self.stream.feed_end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.stream.feed_loss()

    def pause_writing(self) -> None:
        self.stream.feed_full(is_full=True)

    def resume_writing(self) -> None:
        self.stream.feed_full(is_full=False)


@dataclass
class Client:
    """The other end: a socket that does only what the test says, so that nothing is read behind its back."""

    sock: socket.socket
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.sock, data)

    async def receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = await self.loop.sock_recv(self.sock, min(size - len(data), 1 << 20))
            if not piece:
                break
            data += piece
        return bytes(data)

    async def receive_all(self) -> bytes:
        return await self.receive(sys.maxsize)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


@contextlib.asynccontextmanager
async def connected(patience: float = SOON) -> AsyncIterator[tuple[ClientStream, Client]]:
    """A stream and its client, over TCP."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sock = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    sock.setblocking(False)
    accepted.setblocking(False)
    _, protocol = await loop.connect_accepted_socket(lambda: Protocol(patience), accepted)
    stream = protocol.stream
    try:
        yield stream, Client(sock)
    finally:
        sock.close()
        stream.transport.abort()
        await until(lambda: stream.is_lost)


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something has happened for which there is no event."""
    while not condition():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)


# Lines


async def test_lines_one_by_one_and_many_at_once() -> None:
    async with connected() as (stream, client):
        await client.send(b"EHLO client\r\n")
        assert await stream.line(LIMIT) == b"EHLO client"
        assert not stream.has_input
        await client.send(b"one\r\ntwo\r\n\r\nfour")
        assert [await stream.line(LIMIT) for _ in range(3)] == [b"one", b"two", b""]
        assert stream.has_input
        assert stream.take_line(LIMIT) is None
        await client.send(b"\r")
        await until(lambda: stream.take_line(LIMIT) is not None or bytes(stream._input) == b"four\r")
        await client.send(b"\n")
        assert await stream.line(LIMIT) == b"four"


def judge(line: bytes, limit: int) -> bytes | str:
    """What a line, LF included, is: its text or what is wrong with it. LF ends one, only CRLF makes it a command."""
    if len(line) > limit:
        return "too long"
    if line.startswith(b"\x16\x03"):
        return "TLS"
    if not line.endswith(b"\r\n") or any(octet < 32 or octet == 127 for octet in line[:-2]):
        return "bad"
    return line[:-2]


def take(stream: ClientStream, limit: int) -> bytes | str | None:
    try:
        return stream.take_line(limit)
    except BadLineError as error:
        return "too long" if error.is_too_long else "bad"
    except ForeignProtocolError as error:
        return str(error)


def feed(stream: ClientStream, octets: bytes, places: list[int], limit: int) -> list[bytes | str]:
    """All that can be taken, after each piece."""
    taken = []
    for start, end in zip([0, *places], [*places, len(octets)], strict=True):
        stream.feed(octets[start:end])
        while (line := take(stream, limit)) is not None:
            taken.append(line)
            if line == "TLS":  # which ends a session
                return taken
    return taken


@given(st.lists(st.binary(max_size=12).map(lambda line: line.translate(None, bytes(range(32)) + b"\x7f"))), st.data())
async def test_however_they_are_cut_the_lines_are_the_same(lines: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(line + b"\r\n" for line in lines)
    places = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    async with connected() as (stream, _):
        assert feed(stream, octets, places, LIMIT) == lines
        assert not stream.has_input


hostile = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b"NOOP", b"\x16\x03", b"x" * 15, b"\xff"]), max_size=15
).map(b"".join)


@given(st.one_of(hostile, st.binary(max_size=60)), st.data())
async def test_whatever_comes_a_line_is_clean_or_an_error(octets: bytes, data: st.DataObject) -> None:
    limit = 20
    places = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=4)))
    *lines, unfinished = octets.split(b"\n")
    expected = [judge(line + b"\n", limit) for line in lines]
    if "TLS" in expected:
        expected = expected[: expected.index("TLS") + 1]
    async with connected() as (stream, _):
        taken = feed(stream, octets, places, limit)
    if taken != expected:  # TLS is recognised before a line's end; then the lines before it are all there
        assert taken[-1] == "TLS"
        assert taken[:-1] == expected[: len(taken) - 1]
        assert b"\x16\x03" in (unfinished if len(taken) > len(lines) else lines[len(taken) - 1])


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP\n",
        b"NO\rOP\n",
        b"NOOP\t\n",
        b"\n",
        b"NOOP\r\r\n",
        b"NO\rOP\r\n",
        b"\rNOOP\r\n",
        b"NO\0OP\r\n",
        b"NOOP\0\r\n",
        b"NO\tOP\r\n",
        b"NO\x07OP\r\n",
        b"NO\x7fOP\r\n",
        b"NO\x1bOP\r\n",
        b"\x16\r\n",
        b"RSET\rQUIT\r\n",
    ],
)
async def test_what_is_not_a_command_is_taken_off_and_the_next_line_is_good(line: bytes) -> None:
    async with connected() as (stream, client):
        await client.send(line + b"NEXT\r\n")
        with pytest.raises(BadLineError) as caught:
            await stream.line(LIMIT)
        assert not caught.value.is_too_long
        assert await stream.line(LIMIT) == b"NEXT"


async def test_octets_outside_ascii_are_the_parsers_matter() -> None:
    async with connected() as (stream, client):
        await client.send(b"VRFY \xc3\xa9\x80\xff\r\n")
        assert await stream.line(LIMIT) == b"VRFY \xc3\xa9\x80\xff"


@pytest.mark.parametrize(
    ("length", "is_too_long"), [(LIMIT - 2, False), (LIMIT - 1, True), (LIMIT, True), (5 * LIMIT, True)]
)
@pytest.mark.parametrize("size", [1, 7, LIMIT, 10 * LIMIT])
async def test_the_longest_line(length: int, is_too_long: bool, size: int) -> None:
    octets = b"x" * length + b"\r\nNEXT\r\n"
    async with connected() as (stream, _):
        taken = feed(stream, octets, list(range(size, len(octets), size)), LIMIT)
        assert taken == ["too long" if is_too_long else b"x" * length, b"NEXT"]


async def test_a_long_line_is_never_held() -> None:
    async with connected() as (stream, client):
        reading = asyncio.ensure_future(stream.line(LIMIT))
        for _ in range(15):
            await client.send(b"x" * (MAX_SKIPPED // 16))
            assert len(stream._input) <= HIGH_WATER + 262144
        await client.send(b"\r\nNEXT\r\n")
        with pytest.raises(BadLineError) as caught:
            await reading
        assert caught.value.is_too_long
        assert not caught.value.is_endless
        assert await stream.line(LIMIT) == b"NEXT"


async def test_a_line_without_end_is_given_up() -> None:
    async with connected() as (stream, client):
        reading = asyncio.ensure_future(stream.line(LIMIT))
        sending = asyncio.ensure_future(client.send(b"x" * (64 * MAX_SKIPPED)))
        with pytest.raises(BadLineError) as caught:
            await reading
        assert caught.value.is_endless
        assert stream._skipped <= MAX_SKIPPED + HIGH_WATER + 262144
        sending.cancel()


@pytest.mark.parametrize(
    "hello", [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"\x16\x03\x01\0\n\r\n", b"\x16\x03\x03\x02\n"]
)
async def test_a_tls_client_is_recognised(hello: bytes) -> None:
    async with connected() as (stream, client):
        await client.send(hello)
        with pytest.raises(ForeignProtocolError, match="TLS"):
            await stream.line(LIMIT)


# Ends


async def test_a_client_that_closes_its_side_is_heard_to_the_end_and_answered() -> None:
    async with connected() as (stream, client):
        await client.send(b"one\r\ntwo\r\nthr")
        client.half_close()
        assert await stream.line(LIMIT) == b"one"
        assert await stream.line(LIMIT) == b"two"
        with pytest.raises(ClientGoneError):
            await stream.line(LIMIT)
        stream.write(b"250 answered\r\n")
        await stream.flush()
        stream.close()
        assert await client.receive_all() == b"250 answered\r\n"


async def test_a_chunk_before_the_end_and_then_the_end() -> None:
    async with connected() as (stream, client):
        await client.send(b"half a message")
        client.half_close()
        await until(lambda: stream._has_ended)
        assert await stream.chunk() == b"half a message"
        with pytest.raises(ClientGoneError):
            await stream.chunk()


@pytest.mark.parametrize("read", ["line", "chunk"])
async def test_a_reset_ends_the_wait(read: str) -> None:
    async with connected() as (stream, client):
        reading = asyncio.ensure_future(stream.line(LIMIT) if read == "line" else stream.chunk())
        await client.send(b"x" if read == "line" else b"")
        client.reset()
        with pytest.raises(ClientGoneError):
            await reading
        assert stream.is_lost
        stream.write(b"nobody hears it")
        await stream.flush()
        stream.close()


# Time


async def test_silence() -> None:
    async with connected(patience=0.02) as (stream, _):
        with pytest.raises(ClientIdleError):
            await stream.line(LIMIT)
        with pytest.raises(ClientIdleError):
            await stream.chunk()


async def test_the_time_is_for_the_whole_line_not_for_each_octet() -> None:
    async with connected(patience=0.1) as (stream, client):
        loop = asyncio.get_running_loop()

        async def drip() -> None:
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.01)

        dripping = asyncio.ensure_future(drip())
        started = loop.time()
        with pytest.raises(ClientIdleError):
            await stream.line(LIMIT)
        assert loop.time() - started < SOON / 2
        dripping.cancel()


async def test_octets_at_the_last_moment_buy_no_more_time() -> None:
    """Regression: the time ran out in the turn in which too few came, nobody noticed, and it never ran out again."""
    async with connected() as (stream, _):
        reading = asyncio.ensure_future(stream.line(LIMIT))
        await until(lambda: stream._waiter is not None)
        stream.feed(b"x")
        stream._expire()
        with pytest.raises(ClientIdleError):
            await asyncio.wait_for(reading, SOON / 6)


async def test_a_connection_does_not_last_for_ever_however_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSION", 0.0)
    async with connected() as (stream, _):
        reading = asyncio.ensure_future(stream.line(LIMIT))
        await asyncio.sleep(0)
        stream.feed(b"NOOP\r\n")
        with pytest.raises(ClientIdleError):
            await reading


async def test_the_time_starts_anew_with_each_line() -> None:
    async with connected(patience=0.3) as (stream, client):
        loop = asyncio.get_running_loop()
        for _ in range(3):
            loop.call_later(0.2, client.sock.send, b"NOOP\r\n")
            assert await stream.line(LIMIT) == b"NOOP"


async def test_an_interrupt_reaches_the_wait_and_only_a_wait() -> None:
    async with connected() as (stream, client):
        stream.interrupt(RuntimeError("nobody waits"))
        reading = asyncio.ensure_future(stream.line(LIMIT))
        await until(lambda: stream._waiter is not None)
        stream.interrupt(RuntimeError("stop"))
        stream.interrupt(RuntimeError("stop again"))
        with pytest.raises(RuntimeError, match=r"stop$"):
            await reading
        await client.send(b"NOOP\r\n")
        assert await stream.line(LIMIT) == b"NOOP"


async def test_a_pause_lasts_whatever_comes_and_ends_with_the_client_or_the_service() -> None:
    async with connected() as (stream, client):
        begin = time.monotonic()
        pausing = asyncio.ensure_future(stream.pause(0.1))
        await client.send(b"NOOP\r\n")
        await pausing
        assert time.monotonic() - begin >= 0.1
        assert await stream.line(LIMIT) == b"NOOP"
        pausing = asyncio.ensure_future(stream.pause(60))
        await until(lambda: stream._waiter is not None)
        stream.interrupt(RuntimeError("stop"))
        with pytest.raises(RuntimeError, match="stop"):
            await pausing
        pausing = asyncio.ensure_future(stream.pause(60))
        await until(lambda: stream._waiter is not None)
        client.half_close()
        with pytest.raises(ClientGoneError):
            await pausing


# Chunks


async def test_a_message_larger_than_all_buffers_arrives_whole_and_waits_outside() -> None:
    body = bytes(range(256)) * 65536  # 16 MiB
    async with connected() as (stream, client):
        sending = asyncio.ensure_future(client.send(body))
        await until(lambda: not stream.transport.is_reading())
        assert not sending.done()
        held = len(stream._input)
        assert HIGH_WATER < held <= HIGH_WATER + 262144
        arrived = bytearray()
        while len(arrived) < len(body):
            arrived += await stream.chunk()
        assert arrived == body
        await sending


async def test_pipelined_lines_beyond_the_limit_wait_outside_too() -> None:
    line = b"NOOP " + b"x" * 93 + b"\r\n"
    count = 100_000
    async with connected() as (stream, client):
        sending = asyncio.ensure_future(client.send(line * count))
        await until(lambda: not stream.transport.is_reading())
        for _ in range(count):
            assert await stream.line(LIMIT) == line[:-2]
        await sending
        assert stream.transport.is_reading()


async def test_what_is_given_back_is_read_first() -> None:
    async with connected() as (stream, client):
        await client.send(b"body\r\n.\r\nQUIT\r\n")
        assert await stream.chunk() == b"body\r\n.\r\nQUIT\r\n"
        await client.send(b"NOOP\r\n")
        await until(lambda: stream.has_input)
        stream.give_back(b"QUIT\r\n")
        assert [await stream.line(LIMIT), await stream.line(LIMIT)] == [b"QUIT", b"NOOP"]


# Output


async def test_replies_collect_until_there_is_nothing_more_to_read() -> None:
    async with connected() as (stream, client):
        await client.send(b"one\r\ntwo\r\n")
        await stream.line(LIMIT)
        stream.write(b"250 one\r\n")
        await stream.line(LIMIT)
        stream.write(b"250 two\r\n")
        with pytest.raises(BlockingIOError):
            client.sock.recv(1)
        reading = asyncio.ensure_future(stream.line(LIMIT))
        assert await client.receive(18) == b"250 one\r\n250 two\r\n"
        await client.send(b"three\r\n")
        assert await reading == b"three"


async def test_how_much_may_collect() -> None:
    async with connected() as (stream, client):
        stream.write(b"x" * MAX_OUTPUT)
        assert not stream.must_flush
        stream.write(b"x")
        assert stream.must_flush
        await stream.flush()
        assert not stream.must_flush
        assert await client.receive(MAX_OUTPUT + 1) == b"x" * (MAX_OUTPUT + 1)


async def test_a_client_that_reads_nothing_is_waited_for_no_longer_than_a_silent_one() -> None:
    async with connected(patience=0.05) as (stream, _):
        stream.write(b"x" * (16 << 20))
        with pytest.raises(ClientIdleError):
            await stream.flush()


async def test_a_flush_waits_for_a_slow_client() -> None:
    async with connected() as (stream, client):
        stream.write(b"x" * (16 << 20))
        flushing = asyncio.ensure_future(stream.flush())
        await client.receive(1000)
        assert not flushing.done()
        await client.receive((16 << 20) - 1000)
        await flushing


async def test_a_flush_to_a_client_that_is_gone_ends() -> None:
    async with connected() as (stream, client):
        stream.write(b"x" * (16 << 20))
        flushing = asyncio.ensure_future(stream.flush())
        await client.receive(1000)
        client.reset()
        await flushing
        with pytest.raises(ClientGoneError):
            await stream.line(LIMIT)


async def test_a_line_that_arrives_while_replies_are_flushed_is_seen() -> None:
    async with connected() as (stream, client):
        stream.write(b"x" * (16 << 20))
        reading = asyncio.ensure_future(stream.line(LIMIT))
        await client.receive(1000)
        await client.send(b"NOOP\r\n")
        await until(lambda: stream.has_input)
        await client.receive((16 << 20) - 1000)
        async with asyncio.timeout(5):
            assert await reading == b"NOOP"


# TLS


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder, ["mail.example.com"])
    return make_context("1.2", folder / "server.pem", folder / "server.key")


def dialogue(sock: socket.socket, *, lines: bytes) -> bytes:
    """A client in a thread of its own: handshake, some lines, then what it hears until the end."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    sock.settimeout(10)
    with trusting.wrap_socket(sock) as encrypted:
        encrypted.sendall(lines)
        heard = bytearray()
        while piece := encrypted.recv(1000):
            heard += piece
        return bytes(heard)


def protocol_of(stream: ClientStream) -> asyncio.Protocol:
    protocol = stream.transport.get_protocol()
    assert isinstance(protocol, asyncio.Protocol)
    return protocol


@pytest.mark.parametrize("is_early", [False, True], ids=["in time", "read before TLS was there"])
async def test_lines_and_replies_under_tls(context: ssl.SSLContext, is_early: bool) -> None:
    async with connected() as (stream, client):
        if not is_early:
            stream.hold()
        talking = asyncio.ensure_future(asyncio.to_thread(dialogue, client.sock, lines=b"EHLO a\r\nQUIT\r\n"))
        if is_early:
            await until(lambda: stream.has_input)
            stream.hold()
        await stream.start_tls(context, protocol_of(stream))
        assert stream.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert [await stream.line(LIMIT), await stream.line(LIMIT)] == [b"EHLO a", b"QUIT"]
        stream.write(b"221 Bye\r\n")
        stream.close()
        assert await talking == b"221 Bye\r\n"


async def test_what_follows_the_handshake_at_once_is_read_to_its_end(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: too much of it made us stop reading what carries TLS, for good: five minutes of silence."""
    monkeypatch.setattr(module, "HIGH_WATER", 10)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    encrypted = trusting.wrap_bio(arriving, leaving)
    loop = asyncio.get_running_loop()
    async with connected() as (stream, client):
        stream.hold()
        shaking_hands = asyncio.ensure_future(stream.start_tls(context, protocol_of(stream)))
        while True:
            try:
                encrypted.do_handshake()
                break
            except ssl.SSLWantReadError:
                await client.send(leaving.read())
                arriving.write(await loop.sock_recv(client.sock, 65536))
        encrypted.write(b"x" * 100)
        await client.send(leaving.read())  # with the handshake's last part, in one packet
        await shaking_hands
        assert await stream.chunk() == b"x" * 100
        encrypted.write(b"y" * 100)
        await client.send(leaving.read())
        assert await stream.chunk() == b"y" * 100


@pytest.mark.parametrize("hello", [b"EHLO client.example\r\n", b"\x16\x03\x01\0\x05\x01\0\0\x01\0", b""])
async def test_a_handshake_that_is_none_ends_the_session(context: ssl.SSLContext, hello: bytes) -> None:
    async with connected() as (stream, client):
        stream.hold()
        await client.send(hello)
        if not hello:
            client.reset()
        with pytest.raises(ClientGoneError, match="TLS handshake"):
            await stream.start_tls(context, protocol_of(stream))
        stream.feed_loss()  # as the session does, for asyncio tells its protocol nothing


@pytest.mark.parametrize("how", ["half_close", "reset"])
async def test_who_is_gone_is_not_waited_for_to_shake_hands(context: ssl.SSLContext, how: str) -> None:
    async with connected() as (stream, client):
        getattr(client, how)()
        await until(lambda: stream._has_ended)
        with pytest.raises(ClientGoneError, match="TLS handshake: closed by the client"):
            await stream.start_tls(context, Protocol(SOON))
        await until(lambda: stream.is_lost)


async def test_a_handshake_has_its_time(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TLS_TIMEOUT", 0.05)
    async with connected() as (stream, _):
        stream.hold()
        with pytest.raises(ClientGoneError, match="TLS handshake"):
            await stream.start_tls(context, protocol_of(stream))
        stream.feed_loss()  # as the session does, for asyncio tells its protocol nothing


# The end


async def test_closing_sends_what_was_written() -> None:
    async with connected() as (stream, client):
        stream.write(b"221 Bye\r\n")
        stream.close()
        stream.close()
        assert await client.receive_all() == b"221 Bye\r\n"
        await until(lambda: stream.is_lost)


async def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    async with connected() as (stream, _):
        stream.write(b"x" * (16 << 20))
        stream.close()
        assert not stream.is_lost
        await until(lambda: stream.is_lost)


async def test_a_stream_whose_client_is_gone_leaves_no_timer() -> None:
    async with connected() as (stream, client):
        client.reset()
        await until(lambda: stream.is_lost)
        with pytest.raises(ClientGoneError):
            await stream.line(LIMIT)
        stream.close()
        assert stream._deadline._handle is None


async def test_no_trickle_makes_a_connection_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSION", 0.3)
    async with connected() as (stream, client):
        loop = asyncio.get_running_loop()
        started = loop.time()

        async def read_on() -> None:
            while True:
                loop.call_later(0.01, client.sock.send, b"x")
                await stream.chunk()

        with pytest.raises(ClientIdleError):
            await read_on()
        assert loop.time() - started >= 0.29


async def test_a_chunk_has_no_more_than_was_asked_for() -> None:
    async with connected() as (stream, client):
        client.sock.send(b"BDAT 3 LAST\r\nabcNOOP\r\n")
        assert await stream.line(LIMIT) == b"BDAT 3 LAST"
        assert await stream.chunk(3) == b"abc"
        assert await stream.line(LIMIT) == b"NOOP"


async def test_who_is_late_is_late_even_if_something_came_in_that_moment() -> None:
    async with connected(patience=0.05) as (stream, _):
        waiting = asyncio.ensure_future(stream.line(LIMIT))
        await until(lambda: stream._waiter is not None)
        stream.feed(b"NO")  # wakes it, and in the same turn its time is over
        stream._expire()
        with pytest.raises(ClientIdleError):
            await waiting
