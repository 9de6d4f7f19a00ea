"""What a session does that no client could make it do from outside: faults of our own, and its share of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

from submission.config.settings import Settings
from submission.core.transaction import Identity, Via
from submission.credentials import open_authenticator
from submission.relay.upstream import Pool
from submission.smtp.command_loop import COMMANDS_AT_A_TIME
from submission.smtp.listener import Listener, Shared
from submission.smtp.places import Places
from submission.smtp.session import Session
from submission.smtp.sessions import Sessions
from submission.smtp.stream import ClientStream
from tests.support.noting_relay import Relay, running, until
from tests.support.submitting import ALICE, keep_login


@contextlib.asynccontextmanager
async def listening_at(
    folder: Path, pool: Pool, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[tuple[Listener, socket.socket]]:
    """A listener that isn't started, and its socket."""
    settings = Settings.model_validate(
        {
            "hostname": "mail.example.com",
            "state_dir": str(folder),
            "listen": [{"address": "127.0.0.1:1", "tls": "none"}],
            "relay": {"address": str(pool.settings.address)},
        }
    )
    keep_login(settings, ALICE)
    authenticator = open_authenticator(settings)
    sessions = Sessions(Places(1, 10, 10).row(0))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        shared = Shared(settings, pool, authenticator, now)
        try:
            yield Listener(settings.listen[0], sock, shared, sessions, None), sock
        finally:
            await sessions.drain(0)
            authenticator.close()


@contextlib.asynccontextmanager
async def connected(
    folder: Path, pool: Pool, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[tuple[Session, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A session that has said hello and is alice's, and the client's end of its connection."""
    async with listening_at(folder, pool, now) as (listener, sock):
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        accepted, _ = sock.accept()
        session = Session(listener)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: session, accepted)
        await reader.readline()
        writer.write(b"HELO client.example\r\n")
        await reader.readline()
        session.peer.identity = Identity(Via.AUTH, ALICE)
        try:
            yield session, reader, writer
        finally:
            writer.close()


async def test_a_session_is_freed_at_its_end_and_needs_no_collector(tmp_path: Path) -> None:
    """Regression: with TLS each was 136 KiB that waited for the collector."""
    gc.collect()
    gc.disable()
    try:
        async with running(Relay()) as pool, listening_at(tmp_path, pool) as (listener, sock):
            await listener.start()
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(b"QUIT\r\n")
            assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"220 ")
            writer.close()
            async with asyncio.timeout(10):
                await until(lambda: not any(isinstance(each, (Session, ClientStream)) for each in gc.get_objects()))
            await listener.stop()
    finally:
        gc.enable()


async def test_after_a_fault_of_ours_a_message_is_not_taken_for_commands(tmp_path: Path) -> None:
    """Regression: the client, once asked for its message, sent it, and the session obeyed its lines."""

    def fail() -> datetime:
        raise RuntimeError("no clock")

    async with running(Relay()) as pool, connected(tmp_path, pool, fail) as (_, reader, writer):
        writer.write(b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
        writer.write(b"MAIL FROM:<mallory@example.com>\r\n.\r\n")
        codes = [line[:3] for line in (await asyncio.wait_for(reader.read(), 10)).splitlines()]
        assert codes == [b"250", b"250", b"354", b"451"]


async def test_commands_of_a_client_who_has_gone_are_left_alone(tmp_path: Path) -> None:
    """Regression: a thousand clients who had sent all they could, and left, kept all others waiting for minutes."""
    async with running(Relay()) as pool, connected(tmp_path, pool) as (session, _, _):
        session.data_received(b"NOOP\r\n" * 20 * COMMANDS_AT_A_TIME)
        session.abort()
        async with asyncio.timeout(10):
            await until(session._handler_coroutine.done)
        assert session._commands <= 2 * COMMANDS_AT_A_TIME


async def test_a_client_with_many_commands_leaves_turns_to_others(tmp_path: Path) -> None:
    """Regression: a buffer full of NOOP kept all other clients waiting for a quarter of a second."""
    count = 20 * COMMANDS_AT_A_TIME
    async with running(Relay()) as pool, connected(tmp_path, pool) as (session, _, _):
        session.data_received(b"NOOP\r\n" * count)
        turns = 0
        while session._stream.has_input:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= count // COMMANDS_AT_A_TIME
