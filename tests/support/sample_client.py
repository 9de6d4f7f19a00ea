"""Cyrus SASL's sample client as a client's half of any mechanism that libsasl2 knows.

It speaks lines of base64, `S: ...` from the server and `C: ...` to it, the first being the mechanisms on offer and the
one chosen, with an initial response behind a NUL. It asks for the password where it needs it, on standard input as long
as it has no terminal.
"""

from __future__ import annotations

import base64
import os
import subprocess
from typing import Self

from tests.support import programs

_PROMPT = b"Password: "


class SampleClient:
    """One exchange; `with` ends the program."""

    def __init__(self, mechanism: str, user: str, password: str) -> None:
        programs.require("sasl-sample-client")
        # stdbuf: it would keep what it says to a pipe to itself.
        command = ["stdbuf", "-oL", "sasl-sample-client", "-s", "smtp", "-n", "mail.example.com"]
        self._process = subprocess.Popen(
            [*command, "-m", mechanism, "-a", user, "-u", ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._mechanism = mechanism
        self._password = password
        self.said = b""
        """All that it printed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self) -> bytes | None:
        """Its initial response, if it has one."""
        name, nul, initial = self.respond(self._mechanism.encode()).partition(b"\0")
        assert name.decode() == self._mechanism
        return initial if nul else None

    def respond(self, challenge: bytes) -> bytes:
        """Its answer. Raises EOFError where it breaks off instead, with the reason."""
        self._write(b"S: " + base64.b64encode(challenge))
        answer = self._read_until(b"C: ")
        return base64.b64decode(answer)

    def is_content(self) -> bool:
        """Whether it believes that it has logged in, and in to whom it should."""
        try:
            self._read_until(b"Negotiation complete")
        except EOFError:
            return False
        return True

    def _read_until(self, mark: bytes) -> bytes:
        """What stands behind the mark on a line."""
        said = b""
        while True:
            said += self._read()
            if said.endswith(_PROMPT):
                self._write(self._password.encode())
                said += b"\n"
            for line in said.split(b"\n")[:-1]:
                if mark in line:
                    return line.partition(mark)[2]

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        data = os.read(self._process.stdout.fileno(), 1)  # no octet of what comes next
        self.said += data
        if not data:
            raise EOFError(self.said.decode(errors="replace"))
        return data

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()
