"""The clients and the relay: what load.c and sink.c do, for Python."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks import programs
from benchmarks.programs import ProgramError
from tests.support.network import free_port

USER = "alice@example.com"
PASSWORD = "correct-horse-battery-staple"

KILOBYTE = 1024
TEN_MEGABYTES = 10_000_000

PATIENCE = 60.0
"""Seconds that a message has to arrive at the relay in, after its client has heard that it is taken."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the clients saw. Times are in microseconds."""

    messages: int
    took: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.took * 1e6


class Sink:
    """The relay that takes everything."""

    def __init__(self, port: int) -> None:
        self.port = port

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Sink]:
        """One that runs for as long as the context lasts."""
        port = free_port()
        with programs.running([programs.build("sink"), str(port)], port, folder):
            yield cls(port)

    def count(self) -> int:
        """How many messages it has taken so far."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as sock, sock.makefile("rb") as replies:
            replies.readline()
            sock.sendall(b"XCOUNT\r\n")
            return int(replies.readline().split()[1])

    def wait_for(self, count: int) -> None:
        """Wait until it has taken so many: some peers queue. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while self.count() < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{count - self.count()} messages have not come through")
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Load:
    """Clients to come: so many connections, `parallel` of them at a time, with so many messages each."""

    port: int
    connections: int
    messages: int = 1
    parallel: int = 1
    size: int = KILOBYTE
    logs_in: bool = True

    def run(self) -> Outcome:
        """All connections from their beginning to their end. Raises ProgramError."""
        return _outcome(programs.run(self._command()))

    @contextmanager
    def paused(self) -> Iterator[Paused]:
        """All connections at once, logged in and idle; they end with the context. Raises ProgramError."""
        process = subprocess.Popen(
            [*self._command(), "--pause"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            paused = Paused(process)
            paused.expect_line()
            yield paused
            process.communicate(timeout=PATIENCE)
            if process.returncode:
                raise ProgramError("load failed while closing its connections")
        finally:
            process.kill()
            process.communicate()

    def _command(self) -> list[str]:
        numbers = {
            "--connections": self.connections,
            "--messages": self.messages,
            "--parallel": self.parallel,
            "--size": self.size,
        }
        login = ["--login", USER, PASSWORD] if self.logs_in else []
        program = programs.build("load", "ssl", "crypto")
        return [str(program), str(self.port), *(str(word) for pair in numbers.items() for word in pair), *login]


class Paused:
    """Clients that wait for a word."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def send(self) -> Outcome:
        """Let them send their messages. Raises ProgramError."""
        stdin = _pipe(self._process.stdin)
        stdin.write("go\n")
        stdin.flush()
        return _outcome(self.expect_line())

    def expect_line(self) -> str:
        """What it prints next. Raises ProgramError where it ends instead."""
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise ProgramError(_pipe(self._process.stderr).read().strip())
        return line


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise TypeError("not a pipe")
    return stream


def _outcome(text: str) -> Outcome:
    return Outcome(**json.loads(text))
