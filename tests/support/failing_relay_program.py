"""The relay that fails, as a program: `python -m tests.support.failing_relay_program PORT FOLDER`.

failing_relay.py says what it does. Orders come in by standard input, a line each, and are answered with `done` and the
order. `there` and the sender's name are said where a transaction fails, or the step before there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import sys
import tempfile
from pathlib import Path

from tests.support.failing_client import JUNK, TRICKLE

_KEYWORDS = ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE", "CHUNKING")
_SENDER = re.compile(rb"MAIL FROM:<(?P<name>[^@>]*)@", re.IGNORECASE)
_MOST = 64 << 20
"""Octets of a message."""
_WINDOW = 64 << 10
"""Octets that the kernel takes for us: a pipe that is full soon."""


class _GoneError(Exception):
    """The connection is over: by our fault, or because the other end closed."""


class _Relay:
    """What all connections share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.order = ("", "")
        self.keeps = True
        self.context = _tls(folder)
        self.released = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from beginning to end."""
        self._writers.add(writer)
        with contextlib.suppress(_GoneError, OSError, asyncio.IncompleteReadError):
            await _Connection(self, reader, writer).serve()
        self._writers.discard(writer)
        writer.close()

    def obey(self, words: str) -> None:
        """An order from outside."""
        self.released.set()
        self.released = asyncio.Event()
        if words == "forget":
            self.keeps = False
        elif words != "release":
            step, _, fault = words.partition(" ")
            self.order = (step, fault)
            for writer in self._writers:
                writer.transport.abort()


class _Connection:
    def __init__(self, relay: _Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relay = relay
        self._reader = reader
        self._writer = writer
        self._name = ""
        self._step, self._fault = relay.order
        self._chunks = b""

    async def serve(self) -> None:
        await self._answer("connect", "220 relay.test.example ESMTP")
        while line := await self._reader.readline():
            verb = line.split()[0].upper().decode("ascii", "replace")
            match verb:
                case "EHLO":
                    offer = (*_KEYWORDS, "STARTTLS") if self._writer.get_extra_info("ssl_object") is None else _KEYWORDS
                    lines = ["250-relay.test.example", *(f"250-{keyword}" for keyword in offer), "250 HELP"]
                    await self._answer(verb, "\r\n".join(lines))
                case "STARTTLS":
                    await self._answer(verb, "220 2.0.0 Go ahead")
                    await self._writer.start_tls(self._relay.context)
                case "MAIL":
                    self._begin(line)
                    await self._answer(verb, "250 2.1.0 Ok")
                case "DATA":
                    await self._answer(verb, "354 Go ahead")
                    await self._take_message()
                case "BDAT":
                    await self._take_chunk(line)
                case "QUIT":
                    await self._send(b"221 2.0.0 Bye\r\n")
                    return
                case _:
                    await self._answer(verb, "250 2.0.0 Ok")

    def _begin(self, line: bytes) -> None:
        sender = _SENDER.match(line)
        self._name = sender["name"].decode() if sender else ""
        _, self._fault, self._step = (*self._name.split("."), "", "")[:3]
        self._chunks = b""

    async def _take_message(self) -> None:
        first = await self._reader.readline()
        await self._reach("content")
        rest = b"" if first == b".\r\n" else await self._reader.readuntil(b"\r\n.\r\n")
        stuffed = b"\r\n" + first + rest[:-3]
        await self._take(stuffed.replace(b"\r\n..", b"\r\n.")[2:], "dot")

    async def _take_chunk(self, line: bytes) -> None:
        self._chunks += await self._reader.readexactly(int(line.split()[1]))
        if line.split()[-1].upper() == b"LAST":
            await self._take(self._chunks, "last")
        else:
            await self._answer("chunk", "250 2.0.0 Ok")

    async def _take(self, message: bytes, step: str) -> None:
        await self._reach(step)
        if self._relay.keeps:
            self._keep(message)
        await self._answer("kept", "250 2.0.0 Message accepted for delivery")
        await self._reach("reply")
        self._name, self._step = "", ""

    def _keep(self, message: bytes) -> None:
        """Have it in a file, which appears whole."""
        with tempfile.NamedTemporaryFile(dir=self._relay.folder / "kept", prefix=".", delete=False) as file:
            file.write(message)
        path = Path(file.name)
        path.rename(path.with_name(f"{self._name}+{path.name[1:]}"))

    async def _answer(self, step: str, reply: str) -> None:
        """Reach a step, and reply to it."""
        octets = f"{reply}\r\n".encode()
        if step == self._step and self._fault == "trickle":
            self._say_there()
            for place in range(len(octets)):
                await asyncio.sleep(TRICKLE)  # before, not behind: whoever has the last octet goes on at once
                await self._send(octets[place : place + 1])
        else:
            await self._reach(step)
            await self._send(octets)

    async def _send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def _reach(self, step: str) -> None:
        """Fail here, if this is where. Raises _GoneError where that is the end."""
        if step != self._step or self._fault == "trickle":
            return
        if self._fault in ("close", "reset"):
            await self._leave()
        elif self._fault in ("half-close", "garbage"):
            await self._confuse()
        else:
            await self._stand_still()

    async def _leave(self) -> None:
        transport = self._writer.transport
        if self._fault == "reset":
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await asyncio.sleep(0)  # which closes the socket
        self._say_there()
        raise _GoneError

    async def _confuse(self) -> None:
        """Say what makes no sense, or nothing more; take whatever comes, and answer nothing."""
        if self._fault == "garbage":
            await self._send(JUNK)
        else:
            self._writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        self._say_there()
        while await self._reader.read(_WINDOW):
            pass
        raise _GoneError

    async def _stand_still(self) -> None:
        """Wait until the order comes to go on; who is silent leaves then, and so does who was dropped meanwhile."""
        transport = self._writer.transport
        if self._fault == "full":
            transport.pause_reading()
        released = self._relay.released
        self._say_there()
        await released.wait()
        if self._fault == "silence":
            raise _GoneError
        if self._fault == "full":
            transport.resume_reading()

    def _say_there(self) -> None:
        print(f"there {self._name or self._step}", flush=True)


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


async def main(port: int, folder: Path) -> None:
    """The program: orders come in by standard input, what happens goes out by standard output."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY by this
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    sock.bind(("127.0.0.1", port))
    relay = _Relay(folder)
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with await asyncio.start_server(relay.serve, sock=sock, limit=_MOST, backlog=512):
        print("ready", flush=True)
        while words := (await orders.readline()).decode().rstrip("\n"):
            relay.obey(words)
            print(f"done {words}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
