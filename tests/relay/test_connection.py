"""Connections to relays of every kind, with TLS and without, up to the EHLO that tells what they offer."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from submission.certificates import write_certificates
from submission.config.settings import Relay as RelaySettings
from submission.core.replies import Reply
from submission.relay.connection import Connection, RelayUnreachableError, connect
from submission.relay.pipe import RelayLostError
from tests.support.noting_relay import EHLO, Relay, obey

HELLO = b"EHLO mail.example.com"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the relay's certificate is, and the authority's."""
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder, ["relay.example"])
    return folder


@pytest.fixture(scope="module")
def context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


class TlsRelay:
    """A relay that starts TLS when it is asked to, and says `before` in the clear behind its yes."""

    def __init__(self, context: ssl.SSLContext, before: bytes = b"") -> None:
        self._context = context
        self._before = before
        self.heard: list[bytes] = []
        self._ended: list[asyncio.Event] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.Event()
        self._ended.append(ended)
        is_encrypted = bool(writer.get_extra_info("ssl_object"))
        try:
            writer.write(b"220 relay.example\r\n")
            while line := await reader.readline():
                self.heard.append(b"*" * is_encrypted + line.rstrip())
                if line.startswith(b"EHLO"):
                    writer.write(EHLO.replace(b" DSN", b" DSN" if is_encrypted else b" STARTTLS"))
                elif line.startswith(b"STARTTLS"):
                    writer.write(b"220 go\r\n" + self._before)
                    await writer.start_tls(self._context)
                    is_encrypted = True
                else:
                    writer.write(b"250 ok\r\n")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            ended.set()

    @contextlib.asynccontextmanager
    async def running(self, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Serve, under TLS from the beginning if there is a context; gives the port."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for ended in self._ended:
                await ended.wait()
            await server.wait_closed()


@contextlib.asynccontextmanager
async def serving(relay: Relay, folder: Path) -> AsyncIterator[str]:
    """Run a relay that knows no TLS; gives its address."""
    server = await asyncio.start_unix_server(relay.serve, folder / "relay")
    try:
        yield f"unix:{folder}/relay"
    finally:
        server.close()
        for ended in relay.ended:
            await ended.wait()
        await server.wait_closed()


async def open_to(address: str, tls: str = "none") -> Connection:
    settings = RelaySettings.model_validate({"address": address, "tls": tls, "connect_timeout": 10.0})
    return await connect(settings, "mail.example.com")


async def ask(connection: Connection, command: bytes) -> Reply:
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    connection.pipe.send(command, 10.0, future)
    return await future


async def part(connection: Connection) -> None:
    """Drop it, and wait until its transport knows."""
    transport = connection.pipe.transport
    connection.pipe.abort("end of the test")
    while connection.pipe.transport is transport and transport is not None:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)


async def test_implicit_tls(context: ssl.SSLContext) -> None:
    relay = TlsRelay(context)
    async with relay.running(context) as port:
        connection = await open_to(f"127.0.0.1:{port}", "implicit")
        assert (await ask(connection, b"NOOP\r\n")).code == 250
        assert relay.heard == [b"*" + HELLO, b"*NOOP"]
        await part(connection)


@pytest.mark.parametrize("before", [b"", b"250-relay.example\r\n250 XCLIENT LOGIN\r\n"], ids=["", "injected"])
async def test_starttls_and_what_was_said_before_it_counts_for_nothing(context: ssl.SSLContext, before: bytes) -> None:
    relay = TlsRelay(context, before)
    async with relay.running() as port:
        connection = await open_to(f"127.0.0.1:{port}", "starttls")
        assert (await ask(connection, b"NOOP\r\n")).code == 250
        assert relay.heard == [HELLO, b"STARTTLS", b"*" + HELLO, b"*NOOP"]
        assert connection.extensions == {"PIPELINING": "", "8BITMIME": "", "SIZE": "1000", "DSN": ""}
        await part(connection)


async def test_without_the_starttls_that_it_wants_nothing_is_sent(tmp_path: Path) -> None:
    relay = Relay()
    async with serving(relay, tmp_path) as address:
        with pytest.raises(RelayUnreachableError, match="STARTTLS"):
            await open_to(address, "starttls")
        assert relay.verbs == [[b"EHLO"]]


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize(
    ("name", "is_known"), [("relay.example", True), ("relay.example", False), ("other.example", True)]
)
async def test_another_host_has_to_have_a_certificate_for_its_name(
    name: str, is_known: bool, tls: str, context: ssl.SSLContext, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / ("ca.pem" if is_known else "nobody.pem")))
    relay = TlsRelay(context)
    async with relay.running(context if tls == "implicit" else None) as port:
        if is_known and name == "relay.example":
            await part(await open_to(f"{name}:{port}", tls))
        else:
            with pytest.raises(RelayUnreachableError, match=r"(?i)certificate"):
                await open_to(f"{name}:{port}", tls)
            assert b"*" + HELLO not in relay.heard


async def test_keywords_are_found_however_they_are_written(tmp_path: Path) -> None:
    said = b"250-relay.example\r\n250-pipelining\r\n250-Size 10\r\n250 XCLIENT NAME addr\r\n"
    relay = Relay(lambda number, line: said if line[:4] == b"EHLO" else obey(number, line))
    async with serving(relay, tmp_path) as address:
        connection = await open_to(address)
        assert connection.extensions == {"PIPELINING": "", "SIZE": "10", "XCLIENT": "NAME addr"}
        connection.quit()
        await relay.ended[0].wait()
        assert relay.verbs == [[b"EHLO", b"QUIT"]]


@pytest.mark.parametrize("keywords", [b"250 PIPELINING", b"250 HELP"])
async def test_commands_are_pipelined_where_that_was_offered(keywords: bytes, tmp_path: Path) -> None:
    asked = asyncio.Event()

    def answer(_number: int, line: bytes) -> bytes:
        if line[:4] == b"EHLO":
            return b"250-relay.example\r\n" + keywords + b"\r\n"
        asked.set()
        return b""

    relay = Relay(answer)
    async with serving(relay, tmp_path) as address:
        connection = await open_to(address)
        futures = [asyncio.ensure_future(ask(connection, command)) for command in (b"A\r\n", b"B\r\n")]
        await asked.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert relay.heard[0][1:] == [b"A", b"B"] if b"PIPELINING" in keywords else [b"A"]
        await part(connection)
        await asyncio.gather(*futures, return_exceptions=True)


async def test_a_goodbye_is_not_said_twice_nor_waited_for(tmp_path: Path) -> None:
    relay = Relay(lambda number, line: b"" if line == b"QUIT" else obey(number, line))
    async with serving(relay, tmp_path) as address:
        connection = await open_to(address)
        connection.quit()
        connection.quit()  # its goodbye is under way: dropped
        await relay.ended[0].wait()
        with pytest.raises(RelayLostError):
            await ask(connection, b"NOOP\r\n")
