"""A program on a terminal of its own, a real pty: what a person would see of it, and what he types."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import termios
import time
from typing import Self

from tests.support.network import PATIENCE

END_OF_FILE = "\x04"
INTERRUPT = "\x03"

_ADOPT = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that /dev/tty is this terminal
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """One program; `with` starts it, and ends it if it still runs. `screen` is all that was shown so far."""

    def __init__(self, *command: str) -> None:
        self._command = command
        self._master = -1
        self._process: subprocess.Popen[bytes] | None = None
        self.screen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        command = [sys.executable, "-c", _ADOPT, *self._command]
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def answer(self, prompt: str, line: str) -> None:
        """Wait for a prompt, then type a line."""
        self.expect(prompt)
        self._await_silence()
        self.type(line + "\n")

    def expect(self, prompt: str) -> None:
        """Wait until the screen ends with a prompt."""
        while not self.screen.endswith(prompt):
            assert self._read(), f"expected {prompt!r}, the program has ended: {self.screen!r}"

    def see(self, text: str) -> None:
        """Wait until the screen has shown a text."""
        while text not in self.screen:
            assert self._read(), f"expected {text!r}, the program has ended: {self.screen!r}"

    def _await_silence(self) -> None:
        """Let the program turn the echo off: saslpasswd2 does so behind its prompt, and loses what was typed before."""
        end = time.monotonic() + PATIENCE
        while termios.tcgetattr(self._master)[3] & termios.ECHO:
            assert time.monotonic() < end, f"what is typed is shown: {self.screen!r}"
            time.sleep(0.001)  # there is no event for it

    def type(self, text: str) -> None:
        """Type without waiting for anything."""
        os.write(self._master, text.encode())

    def finish(self) -> int:
        """Watch the program to its end; its exit code."""
        while self._read():
            pass
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        """Wait for more on the screen; whether there was any."""
        readable, _, _ = select.select([self._master], [], [], PATIENCE)
        assert readable, f"nothing more was shown: {self.screen!r}"
        try:
            octets = os.read(self._master, 4096)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.screen += self._decoder.decode(octets)
        return bool(octets)
