"""Relays on loopback, in the test's own event loop, that answer as a function says and note what they hear."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable

from submission.config.settings import Relay as RelaySettings
from submission.core.replies import Reply
from submission.core.xclient import Client
from submission.relay.connection import Connection
from submission.relay.upstream import Pool, Upstream

ALICE = Client("alice@example.com")
MAIL = b"MAIL FROM:<alice@example.com>"
EHLO = b"250-relay.example\r\n250-PIPELINING\r\n250-8bitmime\r\n250-SIZE 1000\r\n250 DSN\r\n"

Answer = Callable[[int, bytes], bytes | None]
"""From connection and command to the octets of the reply; None closes, RESET resets."""
RESET = b"\xffreset"


def obey(_connection: int, command: bytes) -> bytes:
    match command[:4].upper():
        case b"EHLO":
            return EHLO
        case b"DATA":
            return b"354 go\r\n"
        case b"QUIT":
            return b"221 bye\r\n"
        case _:
            return b"250 " + command[:4] + b" taken\r\n"


class Relay:
    """A server that notes what it hears, connection by connection."""

    def __init__(self, answer: Answer = obey, greeting: bytes = b"220 relay.example\r\n") -> None:
        self.answer = answer
        self.greeting = greeting
        self.heard: list[list[bytes]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.ended: list[asyncio.Event] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard: list[bytes] = []
        number = len(self.heard)
        self.heard.append(heard)
        self.writers.append(writer)
        self.ended.append(asyncio.Event())
        try:
            writer.write(self.greeting)
            while line := await reader.readline():
                heard.append(line.rstrip(b"\r\n"))
                answer = self.answer(number, heard[-1])
                if answer is None:
                    break
                if answer == RESET:
                    self.reset(number)
                    break
                writer.write(answer)
        except ConnectionError:
            pass
        finally:
            self.ended[number].set()
            writer.close()

    def reset(self, number: int) -> None:
        """Close a connection so that the other side gets RST."""
        linger = b"\1\0\0\0\0\0\0\0"
        self.writers[number].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writers[number].transport.abort()

    @property
    def verbs(self) -> list[list[bytes]]:
        return [[line[:4] for line in heard] for heard in self.heard]


@contextlib.asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Pool]:
    """A pool whose relay this is."""
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    pool = make_pool(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield pool
    finally:
        pool.close()
        server.close()
        for writer in relay.writers:
            writer.transport.abort()
        for event in relay.ended:
            await event.wait()
        await server.wait_closed()


def make_pool(address: str, connect_timeout: float = 10.0, final_timeout: float = 10.0) -> Pool:
    settings = RelaySettings.model_validate(
        {"address": address, "connect_timeout": connect_timeout, "final_timeout": final_timeout}
    )
    return Pool(settings, "mail.example.com")


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something of ours has happened, for which there is no event."""
    while not condition():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)


async def begin(pool: Pool, client: Client = ALICE) -> tuple[Upstream, Reply]:
    """A transaction whose MAIL was answered."""
    upstream = Upstream(pool, lambda: client)
    try:
        return upstream, await upstream.send(MAIL)
    except asyncio.CancelledError:
        upstream.abort("cancelled")
        raise


def connection_of(upstream: Upstream) -> Connection:
    """The connection that it uses now."""
    assert upstream._connection is not None
    return upstream._connection


async def transact(pool: Pool, client: Client = ALICE) -> Connection:
    """One whole message, and the connection that it took."""
    upstream, reply = await begin(pool, client)
    assert reply.text == "250 MAIL taken"
    assert (await upstream.send(b"RCPT TO:<bob@example.net>")).code == 250
    assert (await upstream.send(b"DATA")).code == 354
    await upstream.write(b"body\r\n")
    assert (await upstream.finish(b".\r\n", is_message=True)).code == 250
    connection = connection_of(upstream)
    upstream.close()
    return connection


def in_message(answer: Answer = obey) -> Answer:
    """Answers, but to the dot only between DATA and the end of the message."""
    is_data: Counter[int] = Counter()

    def reply(connection: int, command: bytes) -> bytes | None:
        if is_data[connection]:
            is_data[connection] = command != b"."
            return b"" if is_data[connection] else answer(connection, command)
        is_data[connection] = command == b"DATA"
        return answer(connection, command)

    return reply
