"""Listeners in this process, with real sockets; the relay is an address where nobody answers, for no mail is sent."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.certificates import write_certificates
from submission.config.settings import Listen, Settings
from submission.config.values import TcpAddress, UnixAddress
from submission.credentials import open_authenticator
from submission.relay.upstream import Pool
from submission.smtp import listener as module
from submission.smtp import stream
from submission.smtp.listener import BindError, Listener, Sessions, Shared, bind
from submission.smtp.tls import make_context

ANY_PORT = TcpAddress("127.0.0.1", 0)


@contextlib.asynccontextmanager
async def listening(
    folder: Path,
    address: TcpAddress | UnixAddress = ANY_PORT,
    limits: dict[str, object] | None = None,
    tls: str = "none",
) -> AsyncIterator[tuple[socket.socket, Sessions, Listener]]:
    """A listener that accepts."""
    settings = Settings.model_validate(
        {
            "hostname": "mail.example.com",
            "state_dir": str(folder),
            "listen": [{"address": "127.0.0.1:1", "tls": "none"}],
            "relay": {"address": f"unix:{folder}/nobody"},
            "limits": limits or {},
        }
    )
    listen = Listen.model_construct(address=address, tls=tls)
    authenticator = open_authenticator(settings)
    shared = Shared(settings, Pool(settings.relay, settings.hostname), authenticator, lambda: datetime.now(UTC))
    sock = bind(listen)
    sessions = Sessions(settings)
    listener = Listener(listen, sock, shared, sessions, _context(folder) if tls != "none" else None)
    await listener.start()
    try:
        yield sock, sessions, listener
    finally:
        listener.stop()
        await sessions.drain(0)
        authenticator.close()


def _context(folder: Path) -> ssl.SSLContext:
    write_certificates(folder, ["mail.example.com"])
    return make_context("1.2", folder / "server.pem", folder / "server.key")


class Client:
    """One connection of a client's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read_line(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readline()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def connect(sock: socket.socket) -> Client:
    name = sock.getsockname()
    if isinstance(name, str):
        return Client(*await asyncio.open_unix_connection(name))
    return Client(*await asyncio.open_connection(name[0], name[1]))


# Binding


async def test_a_tcp_socket_is_bound_and_serves_later(tmp_path: Path) -> None:
    async with listening(tmp_path) as (sock, _, _):
        client = await connect(sock)
        assert (await client.read_line()).startswith(b"220 mail.example.com ESMTP")
        await client.close()


def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1:{port}: Address already in use"):
            bind(Listen.model_validate({"address": f"127.0.0.1:{port}", "tls": "none"}))


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(BindError, match=r"192\.0\.2\.1"):
        bind(Listen.model_validate({"address": "192.0.2.1:2525", "tls": "none"}))


def test_what_is_not_there_yet_says_so() -> None:
    with pytest.raises(BindError, match="not available"):
        bind(Listen.model_construct(address="systemd:submission", tls="none"))


@pytest.mark.parametrize(
    ("number", "port", "text"),
    [
        (errno.EADDRINUSE, 587, "DAEMON_OPTIONS"),
        (errno.EADDRINUSE, 465, "Address already in use"),
        (errno.EACCES, 587, "Permission denied"),
    ],
)
def test_explanations(number: int, port: int, text: str) -> None:
    explained = module._explain(OSError(number, os.strerror(number)), TcpAddress("0.0.0.0", port))
    assert text in explained
    assert ("DAEMON_OPTIONS" in explained) == (text == "DAEMON_OPTIONS")


async def test_a_unix_socket_can_be_reached_and_replaces_one_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listening(tmp_path, UnixAddress(path)) as (sock, _, _):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        client = await connect(sock)
        assert (await client.read_line()).startswith(b"220 ")
        await client.close()
        with pytest.raises(BindError, match="in use"):  # somebody lives there now
            bind(Listen.model_validate({"address": f"unix:{path}", "tls": "none"}))
        client = await connect(sock)
        assert (await client.read_line()).startswith(b"220 ")
        await client.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "precious"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/nonexistent")
    with pytest.raises(BindError):
        bind(Listen.model_validate({"address": f"unix:{path}", "tls": "none"}))
    assert path.is_symlink() or path.exists()
    assert kind != "file" or path.read_text() == "precious"


def test_a_unix_socket_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="No such file"):
        bind(Listen.model_validate({"address": f"unix:{tmp_path}/none/socket", "tls": "none"}))


# Who comes, and how many


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.1", 1234), "192.0.2.1"),
        (("2001:db8::1", 1234, 0, 0), "2001:db8::1"),
        (("::ffff:192.0.2.1", 1234, 0, 0), "192.0.2.1"),
        (("fe80::1%eth0", 1234, 0, 2), "fe80::1"),
        ("", ""),
        (b"", ""),
        (None, ""),
        ((), ""),
        (("host.example", 1), ""),
    ],
)
def test_addresses(peer: object, address: str) -> None:
    assert module._address(peer) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert module._network(address) == network


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_two_addresses_are_one_client_if_their_first_64_bits_are(one: object, other: object) -> None:
    is_one = int(one) >> 64 == int(other) >> 64  # type: ignore[call-overload]
    assert (module._network(str(one)) == module._network(str(other))) == is_one


async def test_one_address_has_only_so_many_connections(tmp_path: Path) -> None:
    async with listening(tmp_path, limits={"connections_per_ip": 2}) as (sock, _, _):
        clients = [await connect(sock) for _ in range(2)]
        for client in clients:
            assert (await client.read_line()).startswith(b"220 ")
        third = await connect(sock)
        assert (await third.read_line()).startswith(b"421 4.3.2 ")
        assert await third.read_line() == b""
        await third.close()
        await clients[0].close()
        assert await freed(sock)
        await clients[1].close()


async def test_all_together_have_only_so_many(tmp_path: Path) -> None:
    async with listening(tmp_path, limits={"connections": 1}) as (sock, _, _):
        client = await connect(sock)
        assert (await client.read_line()).startswith(b"220 ")
        second = await connect(sock)
        assert (await second.read_line()).startswith(b"421 4.3.2 ")
        await second.close()
        await client.close()
        assert await freed(sock)


@pytest.mark.parametrize("how", ["garbage", "leaves", "resets", "silence"])
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_handshakes_that_fail_leave_their_places(
    tmp_path: Path, tls: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "TLS_TIMEOUT", 0.1 if how == "silence" else 30.0)
    async with listening(tmp_path, limits={"connections_per_ip": 1}, tls=tls) as (sock, sessions, _):
        for _ in range(3):
            client = await connect(sock)
            if tls == "starttls":
                assert (await client.read_line()).startswith(b"220 ")
                client.writer.write(b"EHLO a\r\nSTARTTLS\r\n")
                while not (await client.read_line()).startswith(b"220 "):
                    pass
            if how == "garbage":
                client.writer.write(b"EHLO again\r\n")
            elif how == "resets":
                client.writer.transport.abort()
            if how != "leaves":
                with contextlib.suppress(ConnectionError):
                    await client.reader.read()
            await client.close()
            async with asyncio.timeout(10):
                await sessions._empty.wait()


async def test_a_service_that_ends_inside_a_handshake_does_not_wait_for_it(tmp_path: Path) -> None:
    async with listening(tmp_path, tls="implicit") as (sock, sessions, _):
        client = await connect(sock)
        while not sessions._all:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await sessions.drain(30)
        await client.close()


async def test_clients_of_a_unix_socket_have_no_address_to_be_counted_by(tmp_path: Path) -> None:
    async with listening(tmp_path, UnixAddress(tmp_path / "socket"), {"connections_per_ip": 1}) as (sock, _, _):
        clients = [await connect(sock) for _ in range(3)]
        for client in clients:
            assert (await client.read_line()).startswith(b"220 ")
            await client.close()


async def freed(sock: socket.socket) -> bool:
    """Whether a place becomes free, now that somebody has left: that takes the server a moment."""
    async with asyncio.timeout(10):
        while True:
            client = await connect(sock)
            line = await client.read_line()
            await client.close()
            if line.startswith(b"220 "):
                return True


# The end


async def test_draining_ends_sessions_without_a_transaction_at_once(tmp_path: Path) -> None:
    async with listening(tmp_path) as (sock, sessions, listener):
        client = await connect(sock)
        await client.read_line()
        listener.stop()
        await sessions.drain(30)
        assert (await client.read_line()).startswith(b"421 4.3.2 ")
        assert await client.read_line() == b""
        await client.close()


async def test_draining_without_sessions_takes_no_time(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, sessions, _):
        await sessions.drain(30)


async def test_a_client_that_takes_nothing_cannot_keep_the_service_from_ending(tmp_path: Path) -> None:
    async with listening(tmp_path) as (sock, sessions, _):
        client = await connect(sock)
        await client.read_line()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        filling = asyncio.ensure_future(flood(client))
        await until_stuck(sessions)
        async with asyncio.timeout(20):
            await sessions.drain(0.05)
        filling.cancel()
        await client.close()


async def flood(client: Client) -> None:
    """Commands without end, whose replies nobody reads."""
    with contextlib.suppress(ConnectionError):
        while True:
            client.writer.write(b"HELP\r\n" * 1000)
            await client.writer.drain()


async def until_stuck(sessions: Sessions) -> None:
    """Until the session waits for its client to take what is written."""
    (session,) = sessions._all
    while not session._stream._is_full:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
