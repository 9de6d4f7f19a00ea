"""A session in this process whose client has proved who it is, and a relay that keeps what it takes.

The session's octets from the client go to the protocol's callback, as the event loop hands them over, because it
matters how they are cut; all else goes over sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st

from submission.config.settings import Settings
from submission.core.addresses import Login
from submission.core.transaction import Identity, Via
from submission.credentials import open_authenticator, open_store
from submission.credentials.store import Record
from submission.relay.pool import Pool
from submission.smtp.listener import Listener, Shared
from submission.smtp.places import Places
from submission.smtp.session import Session
from submission.smtp.sessions import Sessions

_TRACE = re.compile(rb"\AReceived: [^\r\n]*\r\n(?:[\t ][^\r\n]*\r\n)*")

_LINES = [b"", b".", b"..", b".x", b"text", b"QUIT", b"BDAT 0 LAST", b"x" * 3000]
contents = st.one_of(
    st.lists(st.sampled_from(_LINES)).map(lambda lines: b"".join(line + b"\r\n" for line in lines)),
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"x", b"\0"]), max_size=12).map(b"".join),
)
"""What a message may hold, and what it may not; never what could be taken for a line of a header field before it."""


ALICE = Login("alice", "example.com")


def keep_login(settings: Settings, login: Login) -> None:
    """Have the store know a login, for one that it doesn't know sends nothing, whoever says that it was proved."""
    with contextlib.closing(open_store(settings.store.url)) as store:
        store.change(login, lambda _: Record(login, password="a hash"))


def is_clean(content: bytes) -> bool:
    """Whether a message of it may be sent."""
    return not set(content.replace(b"\r\n", b"")) & set(b"\r\n\0")


def cut(octets: bytes, data: st.DataObject | None) -> list[bytes]:
    """The octets in pieces, a few of them empty, cut where hypothesis says; without it, each for itself."""
    if data is None:
        return [octets[place : place + 1] for place in range(len(octets))] or [b""]
    places = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    return [octets[start:end] for start, end in zip([0, *places], [*places, len(octets)], strict=True)]


class Submitter:
    """The client's end of one session."""

    def __init__(self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.session = session
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Send octets, cut like this; between the pieces the session gets its turn."""
        for piece in pieces:
            if piece:
                self.session.data_received(piece)
            for _ in range(3):
                await asyncio.sleep(0)

    async def reply(self) -> bytes:
        """The next reply, all of its lines; empty where the session has closed."""
        reply = b""
        async with asyncio.timeout(10):
            while line := await self._reader.readline():
                reply += line
                if line[3:4] != b"-":
                    break
        return reply

    async def say(self, *lines: bytes) -> list[bytes]:
        """Send lines in one packet; a reply for each."""
        await self.send(b"".join(line + b"\r\n" for line in lines))
        return [await self.reply() for _ in lines]

    async def leave(self) -> None:
        """Close, and wait until the session has taken leave, too."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def submitting(
    folder: Path, pool: Pool, settings: Mapping[str, Mapping[str, object]] | None = None
) -> AsyncIterator[Submitter]:
    """A client who may send, greeted; `settings` are those besides the defaults."""
    effective = Settings.model_validate(
        {
            "hostname": "mail.example.com",
            "state_dir": str(folder),
            "listen": [{"address": f"unix:{folder}/listener", "tls": "none"}],
            "relay": {"address": f"unix:{folder}/nobody"},
            **(settings or {}),
        }
    )
    keep_login(effective, ALICE)
    authenticator = open_authenticator(effective)
    shared = Shared(effective, pool, authenticator, lambda: datetime.now(UTC))
    sessions = Sessions(Places(1, 10, 10).row(0))
    ours, theirs = socket.socketpair()
    listener = Listener(effective.listen[0], ours, shared, sessions, None)
    reader, writer = await asyncio.open_connection(sock=theirs)
    _, session = await asyncio.get_running_loop().create_connection(lambda: Session(listener), sock=ours)
    client = Submitter(session, reader, writer)
    try:
        assert (await client.reply()).startswith(b"220 ")
        assert (await client.say(b"EHLO client.example"))[0].startswith(b"250-")
        session.peer.identity = Identity(Via.AUTH, ALICE)
        yield client
    finally:
        await client.leave()
        await sessions.drain(10)
        authenticator.close()
        pool.close()


class TakingRelay:
    """A server that takes every message and keeps it, without the Received field that it begins with.

    It ends once all who were connected have left.
    """

    def __init__(self, keywords: Sequence[bytes] = (b"PIPELINING",)) -> None:
        self._keywords = keywords
        self.messages: list[bytes] = []
        self.traces: list[bytes] = []
        """Their Received fields."""
        self.commands: list[bytes] = []
        self._serving: list[asyncio.Task[None] | None] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; gives the address for a configuration."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await asyncio.gather(*filter(None, self._serving))
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.current_task())
        chunks = b""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 relay.example\r\n")
            while line := await reader.readline():
                self.commands.append(line)
                verb = line.split()[0].upper()
                if verb == b"EHLO":
                    lines = (b"relay.example", *self._keywords)
                    writer.write(b"".join(b"250-" + line + b"\r\n" for line in lines) + b"250 HELP\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    stuffed = (b"\r\n" + await reader.readuntil(b"\r\n.\r\n"))[:-3]
                    self._take(stuffed.replace(b"\r\n..", b"\r\n.")[2:])
                    writer.write(b"250 taken\r\n")
                elif verb == b"BDAT":
                    chunks += await reader.readexactly(int(line.split()[1]))
                    if line.split()[-1] == b"LAST":
                        self._take(chunks)
                        chunks = b""
                    writer.write(b"250 taken\r\n")
                else:
                    writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        writer.close()

    def _take(self, message: bytes) -> None:
        trace = _TRACE.match(message)
        assert trace, message
        self.traces.append(trace[0])
        self.messages.append(message[trace.end() :])
