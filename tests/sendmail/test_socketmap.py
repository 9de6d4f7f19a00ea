"""The socketmap, asked by a client of ours octet by octet, and by a real sendmail."""

import asyncio
import contextlib
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from submission.sendmail import socketmap
from submission.sendmail.socketmap import SocketMap, parse_key
from submission.state import StateUnavailableError
from tests.support.sendmail import Sendmail

TABLE = {"192.0.2.50": "joe@example.com", "2001:db8::50": "eve@example.com"}


@asynccontextmanager
async def asking(
    find: socketmap.Find = TABLE.get, note: socketmap.Note = lambda _: None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = SocketMap(sock, find, note)
        await server.start()
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            server.close()


async def test_the_socket_s_path_stays_for_the_next_to_answer(tmp_path: Path) -> None:
    path = tmp_path / "popip"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        for _ in range(2):
            server = SocketMap(sock.dup(), TABLE.get, lambda _: None)
            await server.start()
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(query("popip 192.0.2.50"))
            assert await reader.readuntil(b",") == b"18:OK joe@example.com,"
            server.close()
            assert await read_to_the_end(reader) == b""
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            assert path.is_socket()
            assert await read_to_the_end(reader) == b""
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def query(text: str) -> bytes:
    return f"{len(text)}:{text},".encode()


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("192.0.2.50", b"18:OK joe@example.com,"),
        ("192.0.2.51", b"9:NOTFOUND ,"),
        ("ipv6:2001:db8:0:0:0:0:0:50", b"18:OK eve@example.com,"),
        ("ipv6:0:0:0:0:0:ffff:c000:232", b"18:OK joe@example.com,"),
        ("", b"9:NOTFOUND ,"),
        ("localhost", b"9:NOTFOUND ,"),
        ("192.0.2.050", b"9:NOTFOUND ,"),
        ("ipv6:fe80:0:0:0:0:0:0:1%eth0", b"9:NOTFOUND ,"),
    ],
)
async def test_an_address_has_its_answer(key: str, answer: bytes) -> None:
    async with asking() as (reader, writer):
        writer.write(query(f"popip {key}"))
        assert await reader.readuntil(b",") == answer


async def test_questions_in_one_packet_and_one_in_many_are_all_answered() -> None:
    async with asking() as (reader, writer):
        writer.write(query("popip 192.0.2.50") * 3)
        for octet in query("popip 192.0.2.51"):
            writer.write(bytes([octet]))
            await writer.drain()
        assert await reader.readexactly(3 * 22 + 12) == b"18:OK joe@example.com," * 3 + b"9:NOTFOUND ,"


async def test_who_relays_is_noted_once_a_connection() -> None:
    noted: list[str] = []
    for _ in range(2):
        async with asking(note=noted.append) as (reader, writer):
            for address in ("192.0.2.51", "192.0.2.50", "192.0.2.50"):
                writer.write(query(f"popip {address}"))
                await reader.readuntil(b",")
    assert noted == ["192.0.2.50", "192.0.2.50"]


@pytest.mark.parametrize(
    "octets",
    [b"x", b"-1:", b"05:popip,", b"99999", b"513:" + b"a" * 600, b"5:popip;", b"5:popip,", b"\xff\xfe", b"12345"],
)
async def test_what_is_no_question_ends_the_connection(octets: bytes) -> None:
    async with asking() as (reader, writer):
        writer.write(octets)
        assert await read_to_the_end(reader) == b""


async def test_a_fault_of_ours_is_told_and_is_no_grant(logged: Callable[[], list[dict[str, object]]]) -> None:
    def broken(address: str) -> str | None:
        raise RuntimeError(address)

    async with asking(broken) as (reader, writer):
        writer.write(query("popip 192.0.2.50"))
        assert await reader.readuntil(b",") == b"34:TEMP the relay table can't be read,"
    assert [line["event"] for line in logged()] == ["internal-error"]


async def test_a_state_that_can_t_be_read_is_told_to_sendmail_alone(
    logged: Callable[[], list[dict[str, object]]],
) -> None:
    def find(address: str) -> str | None:
        raise StateUnavailableError(address)

    async with asking(find) as (reader, writer):
        writer.write(query("popip 192.0.2.50"))
        assert await reader.readuntil(b",") == b"34:TEMP the relay table can't be read,"
    assert logged() == []


async def test_a_user_of_any_name_is_one_word() -> None:
    async with asking(lambda _: "joe\r\n2:OK,") as (reader, writer):
        writer.write(query("popip 192.0.2.50"))
        assert await reader.readuntil(b",") == b"7:OK user,"


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketmap, "MAX_CONNECTIONS", 1)
    async with asking() as (reader, writer):
        writer.write(query("popip 192.0.2.50"))
        await reader.readuntil(b",")
        second, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
        assert await read_to_the_end(second) == b""
        other.close()


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_key_is_an_address_or_none(key: str) -> None:
    parsed = parse_key(key)
    assert parsed == "" or parse_key(parsed) == parsed


class Table:
    """Answers a real sendmail from a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.users: dict[str, str] = {}
        self.path = path

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.path))
            sock.listen()
            server = SocketMap(sock, self.users.get, lambda _: None)
            await server.start()
            try:
                yield
            finally:
                server.close()
                self.path.unlink()


def reply_to_recipient(port: int, address: str, recipient: str) -> tuple[int, bytes]:
    with smtplib.SMTP("127.0.0.1", port, "client.example", source_address=(address, 0), timeout=20) as client:
        client.ehlo()
        client.mail("joe@example.com")
        return client.rcpt(recipient)


async def test_a_real_sendmail_relays_for_whom_the_table_has_and_for_nobody_when_it_is_gone(tmp_path: Path) -> None:
    table = Table(tmp_path / "popip")
    abroad, local = "bob@elsewhere.example", "alice@test.example"
    with Sendmail(tmp_path / "sendmail", popip=f"socket -T<TMPF> local:{table.path}") as sendmail:

        async def ask(address: str, recipient: str) -> int:
            return (await asyncio.to_thread(reply_to_recipient, sendmail.port, address, recipient))[0]

        async with table.serving():
            assert await ask("127.0.0.8", abroad) == 550
            table.users["127.0.0.8"] = "joe@example.com"
            assert await ask("127.0.0.8", abroad) == 250
            assert await ask("127.0.0.9", abroad) == 550
            del table.users["127.0.0.8"]
            assert await ask("127.0.0.8", abroad) == 550
            assert await ask("127.0.0.8", local) == 250
        table.users["127.0.0.8"] = "joe@example.com"
        assert await ask("127.0.0.8", abroad) == 451
        assert await ask("127.0.0.8", local) == 250
