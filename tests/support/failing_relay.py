"""A relay in a process of its own that fails as it is told: the mail system downstream, as it is on a bad day.

How a transaction is to fail is said by its sender: `NAME.FAULT.STEP@example.com` fails in that way at that step, and
any other address doesn't. What comes before MAIL fails as the last order says. A step is reached when

    connect     somebody has connected, and was not greeted yet
    EHLO, STARTTLS, MAIL, RCPT, DATA    the command was read, and not answered yet
    content     the first line of the message was read
    dot         the whole message was read, and not kept yet
    kept        it was kept, and the reply not sent yet
    reply       the reply was sent
    chunk, last BDAT's first and last chunk, likewise

A message is kept as sendmail does it, in a file that appears whole before the reply; so it outlives the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Self

from tests.support.failing_client import JUNK, TRICKLE
from tests.support.network import PATIENCE, free_port, wait_until

_KEYWORDS = ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE", "CHUNKING")
_SENDER = re.compile(rb"MAIL FROM:<(?P<name>[^@>]*)@", re.IGNORECASE)
_TRACE = re.compile(rb"\AReceived: [^\r\n]*\r\n(?:[\t ][^\r\n]*\r\n)*")
_MOST = 64 << 20
"""Octets of a message."""
_WINDOW = 64 << 10
"""Octets that the kernel takes for us: a pipe that is full soon."""


class FailingRelay:
    """The process, from outside; `with` starts and ends it. `folder` is its own, and has certificates."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []
        self._hearing: threading.Thread | None = None
        (folder / "kept").mkdir()

    @property
    def address(self) -> str:
        """For the relay's `address` in a configuration."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, or start it again: with the same messages, and without faults."""
        command = [sys.executable, "-m", "tests.support.failing_relay", str(self.port), str(self._folder)]
        self._said = []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._hearing = threading.Thread(target=self._hear, args=(self._process, self._said), daemon=True)
        self._hearing.start()
        wait_until(lambda: "ready" in self._said)

    def kill(self) -> None:
        """End it, at any moment, as kill -9 does."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._hearing is not None:
            self._hearing.join(PATIENCE)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process = None

    def stop(self) -> None:
        """Have the kernel run it no more, until `go_on`."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it run again."""
        os.kill(self.pid, signal.SIGCONT)

    def order(self, words: str) -> None:
        """`STEP FAULT` for new connections from now on; `well` for none. Those that are there are closed.

        `release` lets those go on who wait at their step, or don't read; those who are silent leave. So it is from
        then on for all who come to their step, until another order.
        """
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("it does not run")
        before = self._said.count(f"done {words}")
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        wait_until(lambda: self._said.count(f"done {words}") > before)

    def wait_for(self, *names: str) -> None:
        """Wait until the transactions of these senders are at their steps, and have failed."""
        wait_until(lambda: all(f"there {name}" in self._said for name in names))

    def wait_for_connection(self) -> None:
        """Wait until a connection has failed as it was ordered."""
        wait_until(lambda: "there -" in self._said)

    def messages(self) -> dict[str, list[bytes]]:
        """All that it has ever kept, without our Received field: by the names of their senders."""
        kept: dict[str, list[bytes]] = {}
        for path in (self._folder / "kept").glob("[!.]*"):
            octets = path.read_bytes()
            trace = _TRACE.match(octets)
            assert trace, octets[:200]
            kept.setdefault(path.name.rpartition("+")[0], []).append(octets[trace.end() :])
        return kept

    @staticmethod
    def _hear(process: subprocess.Popen[str], said: list[str]) -> None:
        if process.stdout is not None:
            said.extend(line.rstrip("\n") for line in process.stdout)


class _GoneError(Exception):
    """The connection is over: by our fault, or because the other end closed."""


class _Relay:
    """What all connections share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.order = ("", "")
        self.context = _tls(folder)
        self.released = asyncio.Event()
        self.counts: Counter[str] = Counter()
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
        if words == "release":
            self.released.set()
        else:
            self.released = asyncio.Event()
            step, _, fault = words.partition(" ")
            self.order = (step, fault)
            for writer in self._writers:
                writer.transport.abort()


class _Connection:
    def __init__(self, relay: _Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relay = relay
        self._reader = reader
        self._writer = writer
        self._name = "-"
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
        self._name = sender["name"].decode() if sender else "-"
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
        with tempfile.NamedTemporaryFile(dir=self._relay.folder / "kept", prefix=".", delete=False) as file:
            file.write(message)
        path = Path(file.name)
        path.rename(path.with_name(f"{self._name}+{path.name[1:]}"))
        await self._answer("kept", "250 2.0.0 Message accepted for delivery")
        await self._reach("reply")
        self._name, self._step = "-", ""

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
        released, transport = self._relay.released, self._writer.transport
        if self._fault == "reset":
            linger = b"\1\0\0\0\0\0\0\0"
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if self._fault in ("reset", "close"):
            transport.abort()
            await asyncio.sleep(0)  # which closes the socket
        elif self._fault == "half-close":
            transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        elif self._fault == "garbage":
            await self._send(JUNK)
        elif self._fault == "full":
            transport.pause_reading()
        self._say_there()
        if self._fault in ("reset", "close"):
            raise _GoneError
        if self._fault in ("half-close", "garbage"):
            await self._read_on()
        await released.wait()
        if self._fault == "silence":
            raise _GoneError
        if self._fault == "full":
            transport.resume_reading()

    async def _read_on(self) -> None:
        """Take whatever comes, and answer nothing."""
        while await self._reader.read(_WINDOW):
            pass
        raise _GoneError

    def _say_there(self) -> None:
        print(f"there {self._name}", flush=True)


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


async def main(port: int, folder: Path) -> None:
    """The program: orders come in by standard input, what happens goes out by standard output."""
    sock = socket.create_server(("127.0.0.1", port), backlog=512)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    relay = _Relay(folder)
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with await asyncio.start_server(relay.serve, sock=sock, limit=_MOST):
        print("ready", flush=True)
        while words := (await orders.readline()).decode().rstrip("\n"):
            relay.obey(words)
            print(f"done {words}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
