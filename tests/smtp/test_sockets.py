import asyncio
import errno
import os
import socket
from pathlib import Path

import pytest

from submission.config.settings import Listen
from submission.config.values import SystemdAddress, TcpAddress, UnixAddress
from submission.smtp import sockets as module
from submission.smtp.sockets import BindError, bind, bind_all


def listener(address: TcpAddress | UnixAddress | SystemdAddress) -> Listen:
    return Listen.model_construct(address=address, tls="none")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_clients_can_connect_at_once(host: str) -> None:
    with bind(TcpAddress(host, 0)) as sock, socket.create_connection(sock.getsockname()[:2], 10):
        sock.accept()[0].close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_no_reply_waits_for_an_acknowledgement(host: str) -> None:
    """Regression: asyncio's own loop left Nagle's algorithm on, which holds a second packet back for 40 ms."""
    delays: asyncio.Queue[int] = asyncio.Queue()

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delays.put_nowait(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(note, sock=bind(TcpAddress(host, 0))) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        assert await delays.get() == 1
        writer.close()
        await writer.wait_closed()


def test_an_address_that_is_taken() -> None:
    with bind(TcpAddress("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1:{port}: Address already in use"):
            bind(TcpAddress("127.0.0.1", port))


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(BindError, match=r"192\.0\.2\.1"):
        bind(TcpAddress("192.0.2.1", 2525))


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
        bind(UnixAddress(path))
    assert path.is_symlink() or path.exists()
    assert kind != "file" or path.read_text() == "precious"


def test_a_unix_socket_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="No such file"):
        bind(UnixAddress(tmp_path / "none" / "socket"))


def test_each_listener_has_its_socket(tmp_path: Path) -> None:
    listeners = [listener(TcpAddress("127.0.0.1", 0)), listener(UnixAddress(tmp_path / "socket"))]
    bound = bind_all(listeners)
    assert [listen for listen, _ in bound] == listeners
    assert [sock.family for _, sock in bound] == [socket.AF_INET, socket.AF_UNIX]
    for _, sock in bound:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        sock.close()


def test_a_socket_that_nobody_passed() -> None:
    with pytest.raises(BindError, match=r"systemd:smtp: .*FileDescriptorName=smtp"):
        bind_all([listener(SystemdAddress("smtp"))])
