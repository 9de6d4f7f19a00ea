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

failing_relay_program.py is that process; here is how it is started and told.

A message is kept as sendmail does it, in a file that appears whole before the reply; so it outlives the process.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from tests.support.network import PATIENCE, free_port, wait_until

_TRACE = re.compile(rb"\AReceived: [^\r\n]*\r\n(?:[\t ][^\r\n]*\r\n)*")


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
        command = [sys.executable, "-m", "tests.support.failing_relay_program", str(self.port), str(self._folder)]
        self._said = []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
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

        `release` lets those go on who wait at their step, or don't read; those who are silent leave. `forget` has it
        take messages from now on and keep none.
        """
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("it does not run")
        before = self._said.count(f"done {words}")
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        wait_until(lambda: self._said.count(f"done {words}") > before)

    def wait_for(self, *names: str) -> None:
        """Wait until the transactions of these senders are at their steps, and have failed."""
        try:
            wait_until(lambda: all(f"there {name}" in self._said for name in names))
        except TimeoutError:
            missing = [name for name in names if f"there {name}" not in self._said]
            raise TimeoutError(f"never came to their steps: {missing}") from None

    def wait_for_connection(self, step: str) -> None:
        """Wait until a connection has failed at this step, as it was ordered."""
        wait_until(lambda: f"there {step}" in self._said)

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
