"""Listeners in this process, with real sockets; the relay is an address where nobody answers, for no mail is sent."""

import asyncio
import contextlib
import functools
import ipaddress
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from submission.certificates import write_certificates
from submission.config.settings import Listen, Settings
from submission.config.values import TcpAddress, UnixAddress
from submission.credentials import open_authenticator
from submission.relay.upstream import Pool
from submission.smtp import listener as module
from submission.smtp import proxy_header, stream
from submission.smtp.listener import Listener, Shared
from submission.smtp.places import Places
from submission.smtp.session import Session
from submission.smtp.sessions import Sessions
from submission.smtp.sockets import BindError, bind
from submission.smtp.tls import make_context

ANY_PORT = TcpAddress("127.0.0.1", 0)


@contextlib.asynccontextmanager
async def listening(
    folder: Path,
    address: TcpAddress | UnixAddress = ANY_PORT,
    limits: dict[str, object] | None = None,
    tls: str = "none",
    balancers: tuple[str, ...] = (),
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
    networks = tuple(map(ipaddress.ip_network, balancers))
    listen = Listen.model_construct(address=address, tls=tls, proxy_protocol=networks)
    authenticator = open_authenticator(settings)
    shared = Shared(settings, Pool(settings.relay, settings.hostname), authenticator, lambda: datetime.now(UTC))
    sock = bind(address)
    sessions = Sessions(Places(1, settings.limits.connections, settings.limits.connections_per_ip).row(0))
    find_tls = functools.cache(functools.partial(_context, folder)) if tls != "none" else None
    listener = Listener(listen, sock, shared, sessions, find_tls)
    await listener.start()
    try:
        yield sock, sessions, listener
    finally:
        await listener.stop()
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


async def connect(sock: socket.socket, source: str = "127.0.0.1", first: bytes = b"") -> Client:
    name = sock.getsockname()
    if isinstance(name, str):
        client = Client(*await asyncio.open_unix_connection(name))
    else:
        client = Client(*await asyncio.open_connection(name[0], name[1], local_addr=(source, 0)))
    client.writer.write(first)
    return client


# Sockets


async def test_a_tcp_socket_is_bound_and_serves_later(tmp_path: Path) -> None:
    async with listening(tmp_path) as (sock, _, _):
        client = await connect(sock)
        assert (await client.read_line()).startswith(b"220 mail.example.com ESMTP")
        await client.close()


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
            bind(UnixAddress(path))
        client = await connect(sock)
        assert (await client.read_line()).startswith(b"220 ")
        await client.close()


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


async def test_each_handshake_asks_what_it_is_to_be_made_with(tmp_path: Path) -> None:
    async with listening(tmp_path, tls="implicit") as (sock, _, listener):
        assert listener.find_tls is not None
        before, after = listener.find_tls(), make_context("1.3", tmp_path / "server.pem", tmp_path / "server.key")
        for context, version in ((before, "TLSv1.2"), (after, "TLSv1.3")):
            listener.find_tls = lambda context=context: context
            before.maximum_version = ssl.TLSVersion.TLSv1_2
            trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
            address = sock.getsockname()
            _, writer = await asyncio.open_connection(*address, ssl=trusting, server_hostname="mail.example.com")
            assert writer.get_extra_info("ssl_object").version() == version
            writer.close()


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


# Clients of a balancer


def proxy(address: str) -> bytes:
    """The header by which a balancer names its client."""
    version = ipaddress.ip_address(address).version
    return f"PROXY TCP{version} {address} {'192.0.2.1' if version == 4 else '::1'} 49152 587\r\n".encode()


BALANCER = "127.0.0.2"


async def test_only_who_is_listed_may_say_who_the_client_is_and_has_to(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=("192.0.2.0/24", "127.0.0.2/31")) as (sock, sessions, _):
        other = await connect(sock, "127.0.0.1", proxy("203.0.113.5"))
        assert (await other.read_line()).startswith(b"220 ")
        assert (await other.read_line()).startswith(b"500 5.5.1 ")
        assert {session.peer.address for session in sessions._all} == {"127.0.0.1"}
        balancer = await connect(sock, "127.0.0.3", proxy("203.0.113.5"))
        assert (await balancer.read_line()).startswith(b"220 ")
        assert {session.peer.address for session in sessions._all} == {"127.0.0.1", "203.0.113.5"}
        silent = await connect(sock, "127.0.0.3", b"NOOP\r\n")
        assert await silent.read_line() == b""
        for client in (other, balancer, silent):
            await client.close()


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (proxy("203.0.113.5"), "203.0.113.5"),
        (proxy("2001:db8::0:5"), "2001:db8::5"),
        (proxy("::ffff:203.0.113.5"), "203.0.113.5"),
        (b"PROXY UNKNOWN 203.0.113.5 192.0.2.1 1 2\r\n", BALANCER),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\xcb\0\x71\5\xc0\0\2\1\xc0\0\2\x4b", BALANCER),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\5\xc0\0\2\1\xc0\0\2\x4b", "203.0.113.5"),
    ],
)
async def test_whose_session_it_is(tmp_path: Path, header: bytes, address: str) -> None:
    async with listening(tmp_path, balancers=(BALANCER,)) as (sock, sessions, _):
        client = await connect(sock, BALANCER, header)
        assert (await client.read_line()).startswith(b"220 ")
        (session,) = sessions._all
        assert session.peer.address == address
        assert counted(sessions, address.replace("2001:db8::5", "2001:db8::/64")) == 1
        await client.close()


async def test_a_balancer_s_clients_are_counted_each_by_his_own_address(tmp_path: Path) -> None:
    async with listening(tmp_path, limits={"connections_per_ip": 1}, balancers=(BALANCER,)) as (sock, sessions, _):
        addresses = ("203.0.113.5", "203.0.113.6", "2001:db8::5")
        clients = [await connect(sock, BALANCER) for _ in addresses]
        for client, address in zip(clients, addresses, strict=True):
            client.writer.write(proxy(address))
            assert (await client.read_line()).startswith(b"220 ")
        for address in ("203.0.113.5", "::ffff:203.0.113.6", "2001:db8::6"):
            second = await connect(sock, BALANCER, proxy(address))
            assert (await second.read_line()).startswith(b"421 4.3.2 ")
            assert await second.read_line() == b""
            await second.close()
        for client in clients:
            await client.close()
        async with asyncio.timeout(10):
            await sessions._empty.wait()
        assert counted(sessions, "203.0.113.5") == counted(sessions, BALANCER) == 0


async def test_all_are_counted_before_they_have_said_who_they_are(tmp_path: Path) -> None:
    async with listening(tmp_path, limits={"connections": 1}, balancers=(BALANCER,)) as (sock, _, _):
        first = await connect(sock, BALANCER)
        second = await connect(sock, BALANCER)
        assert (await second.read_line()).startswith(b"421 4.3.2 ")
        await second.close()
        first.writer.write(proxy("203.0.113.5"))
        assert (await first.read_line()).startswith(b"220 ")
        await first.close()


@pytest.mark.parametrize("tls", ["none", "implicit"])
@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"", "only 0 octets in time"),
        (b"PROXY TCP4 203", "only 14 octets in time"),
        (b"EHLO client.example\r\n", "none, but 'EHLO cli'"),
        (b"\x16\x03\x01\x02\0\1\0\1\xfc", "none, but '\x16\x03\x01\x02\0\1\0\1'"),
        (proxy("203.0.113.5").replace(b"49152", b"x"), "malformed: 'PROXY TCP4 203.0.113.5 192.0.2.1 x 587'"),
    ],
)
async def test_without_a_header_nothing_is_said_but_to_the_log(
    tmp_path: Path,
    tls: str,
    first: bytes,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], list[dict[str, object]]],
) -> None:
    monkeypatch.setattr(proxy_header, "HEADER_TIMEOUT", 0.1)
    async with listening(tmp_path, tls=tls, balancers=(BALANCER,)) as (sock, sessions, _):
        client = await connect(sock, BALANCER, first)
        with contextlib.suppress(ConnectionError):
            assert await client.reader.read() == b""
        await client.close()
        async with asyncio.timeout(10):
            await sessions._empty.wait()
    (line,) = logged()
    assert (line["event"], line["ip"], line["reason"]) == ("connection", BALANCER, f"proxy-header: {reason}")


def counted(sessions: Sessions, network: str) -> int:
    """How many clients of a network there are."""
    places = sessions._places
    return min(map(places._sum, places._cells(network)[1:]))


async def until_awaiting_header(sessions: Sessions) -> Session:
    """The one session, once it waits."""
    while not sessions._all or not next(iter(sessions._all))._stream._waiter:  # noqa: ASYNC110 - no event for it
        await asyncio.sleep(0)
    (session,) = sessions._all
    return session


@pytest.mark.parametrize("last_moment", [b"", proxy("203.0.113.5")])
async def test_a_service_that_ends_says_nothing_to_who_has_not_said_who_he_is(
    tmp_path: Path, last_moment: bytes
) -> None:
    async with listening(tmp_path, balancers=(BALANCER,)) as (sock, sessions, _):
        client = await connect(sock, BALANCER)
        session = await until_awaiting_header(sessions)
        if last_moment:
            session.data_received(last_moment)
        async with asyncio.timeout(3):
            await sessions.drain(30)
        assert await client.read_line() == b""
        await client.close()


async def test_a_connection_that_is_lost_behind_its_header_is_not_counted_again(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=(BALANCER,)) as (sock, sessions, _):
        client = await connect(sock, BALANCER)
        session = await until_awaiting_header(sessions)
        session.data_received(proxy("203.0.113.5"))
        session.connection_lost(None)
        await session._handler_coroutine
        assert not sessions._all
        assert counted(sessions, "203.0.113.5") == counted(sessions, BALANCER) == 0
        session.abort()
        await client.close()


# The end


async def test_draining_ends_sessions_without_a_transaction_at_once(tmp_path: Path) -> None:
    async with listening(tmp_path) as (sock, sessions, listener):
        client = await connect(sock)
        await client.read_line()
        await listener.stop()
        await sessions.drain(30)
        assert (await client.read_line()).startswith(b"421 4.3.2 ")
        assert await client.read_line() == b""
        await client.close()


@pytest.mark.parametrize("turns", range(6))
def test_who_is_accepted_while_the_service_ends_is_told_too(turns: int, tmp_path: Path) -> None:
    """Regression: a connection that was accepted and not yet a session when the others were told held the end up."""

    async def listen_until_the_end(client: socket.socket) -> None:
        client.setblocking(False)
        with contextlib.suppress(ConnectionResetError):  # before it was accepted
            while await asyncio.get_running_loop().sock_recv(client, 1000):
                pass
        client.close()

    async def come_late() -> None:
        async with listening(tmp_path) as (sock, sessions, listener):
            early = socket.create_connection(sock.getsockname())
            early.setblocking(False)
            await asyncio.get_running_loop().sock_recv(early, 1000)
            clients = [early, socket.create_connection(sock.getsockname())]
            hearing = [asyncio.ensure_future(listen_until_the_end(client)) for client in clients]
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await listener.stop()
                await sessions.drain(30)
                await asyncio.gather(*hearing)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(come_late())


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("turns", range(5))
def test_who_was_accepted_is_served_though_nobody_is_any_more(
    turns: int, make_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    """Regression: asyncio dropped whom it had accepted in the very turn in which a worker began to retire."""

    async def come_late() -> None:
        async with listening(tmp_path) as (sock, sessions, listener):
            with socket.create_connection(sock.getsockname()) as client:
                client.setblocking(False)
                for _ in range(turns):
                    await asyncio.sleep(0)
                await listener.stop()
                await asyncio.sleep(0.01)
                with contextlib.suppress(ConnectionResetError):  # it was not accepted, and others would have done so
                    async with asyncio.timeout(10):
                        greeting = await asyncio.get_running_loop().sock_recv(client, 1000)
                    assert greeting.startswith(b"220 ")
                    assert len(sessions._all) == 1

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(come_late())


async def test_draining_without_sessions_takes_no_time(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, sessions, _), asyncio.timeout(10):
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
