"""A client that fails at a step of its transaction, in a way of its own.

The transaction is a generator that stops at each step, so what is to happen happens there. A step is reached when

    connect     the connection stands, and the service has said something, which nobody has read
    greeting    its greeting was read
    EHLO        it has said what it offers
    STARTTLS    it has said 220; no handshake has begun
    AUTH        its challenge is there, and nobody has answered that
    MAIL, RCPT  they were answered
    DATA        the service waits for the message
    content     half of the message was sent
    before-dot  all of it was, but for the final dot
    dot         the final dot was sent, and no reply to it was read
    reply       it was read
    chunk       of BDAT's first chunk, half was sent
    chunks      the first chunk was answered, and the last has not begun
    last        the last chunk was sent, and no reply to it was read

In the test's process it is a call, `play`. To be killed or stopped it is a program that gets a Plan as JSON. That says
at the step, and at its end, whether its message was ACKNOWLEDGED; in between it waits for a line.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

PATIENCE = 20.0
"""Seconds that a client waits for anything, unless told."""
TRICKLE = 0.002
"""Seconds between two octets of one who sends them one by one: a second, for a service whose deadlines are minutes."""
FLOOD = b"HELP\r\n" * 10_000
MAX_FLOOD = 64 << 20
BLOCKED = 0.3
"""Seconds after which a pipe that takes nothing is full."""
JUNK = bytes(range(256)) + b"\r\n.\r\n"
"""Every octet there is, and the end of a message."""

ACKNOWLEDGED = "acknowledged"
_TELLING = {True: ACKNOWLEDGED, False: "not acknowledged"}

USER = "carol"
PASSWORD = "correct horse"

_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CONTEXT.check_hostname = False
_CONTEXT.verify_mode = ssl.CERT_NONE  # whose certificate it is, is other tests' matter

Fault = Literal["", "pause", "close", "reset", "half-close", "silence", "garbage", "trickle", "full"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One attempt at one message. `name` is the sender's local part: it tells one attempt from another everywhere."""

    port: int
    name: str
    step: str = ""
    fault: Fault = ""
    verb: Literal["DATA", "BDAT"] = "DATA"
    tls: Literal["none", "starttls", "implicit"] = "none"
    size: int = 400
    patience: float = PATIENCE
    pace: float = TRICKLE

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def compose(name: str, size: int) -> bytes:
    """The message of an attempt: its own octets throughout, dots at the front of lines, `size` or a bit more."""
    header = (
        f"From: {USER}@example.com\r\nTo: alice@test.example\r\nSubject: {name}\r\n"
        f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@test.example>\r\n\r\n"
    )
    digest = hashlib.sha256(name.encode()).hexdigest()
    line = f".{digest}\r\n..\r\n{digest[::-1]}\r\n".encode()
    return header.encode() + line * max(1, -(-(size - len(header)) // len(line)))


class _RefusedError(Exception):
    """A reply that lets the transaction go no further; or none any more."""


class _Client:
    def __init__(self, plan: Plan, over: threading.Event) -> None:
        self._plan = plan
        self._over = over
        self._message = compose(plan.name, plan.size)
        self._heard = b""
        self._has_ended = False
        self._trickles = False
        self.is_acknowledged = False
        self.socket = socket.socket()

    def steps(self) -> Iterator[str]:
        """The whole transaction, step by step. Raises OSError, and _RefusedError where the service doesn't agree."""
        self._connect()
        self._wait_for_octets()
        yield "connect"
        self._expect(b"2")
        yield "greeting"
        self._say("EHLO client.example")
        yield "EHLO"
        if self._plan.tls == "starttls":
            self._say("STARTTLS")
            yield "STARTTLS"
            self._encrypt()
            self._say("EHLO client.example")
        challenge = base64.b64decode(self._say("AUTH CRAM-MD5", b"3")[4:])
        yield "AUTH"
        digest = hmac.new(PASSWORD.encode(), challenge, "md5").hexdigest()
        self._say(base64.b64encode(f"{USER} {digest}".encode()).decode())
        self._say(f"MAIL FROM:<{self._plan.name}@example.com>")
        yield "MAIL"
        self._say("RCPT TO:<alice@test.example>")
        yield "RCPT"
        yield from self._data() if self._plan.verb == "DATA" else self._chunks()
        yield "reply"
        self._say("QUIT")

    def _connect(self) -> None:
        self.socket.settimeout(self._plan.patience)
        if self._plan.fault == "full":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # as little as the kernel allows
        self.socket.connect(("127.0.0.1", self._plan.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._plan.tls == "implicit":
            self._encrypt()

    def _wait_for_octets(self) -> None:
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.poll(self._plan.patience * 1000)

    def _data(self) -> Iterator[str]:
        self._say("DATA", b"3")
        yield "DATA"
        stuffed = (b"\r\n" + self._message).replace(b"\r\n.", b"\r\n..")[2:]
        middle = len(stuffed) // 2
        self._send(stuffed[:middle])
        yield "content"
        self._send(stuffed[middle:])
        yield "before-dot"
        self._send(b".\r\n")
        yield from self._end("dot")

    def _chunks(self) -> Iterator[str]:
        middle = len(self._message) // 2
        first, last = self._message[:middle], self._message[middle:]
        self._send(f"BDAT {len(first)}\r\n".encode() + first[: middle // 2])
        yield "chunk"
        self._send(first[middle // 2 :])
        self._expect(b"2")
        yield "chunks"
        self._send(f"BDAT {len(last)} LAST\r\n".encode() + last)
        yield from self._end("last")

    def _end(self, step: str) -> Iterator[str]:
        self._has_ended = True
        yield step
        self._expect(b"2")
        self.is_acknowledged = True

    def fail(self) -> None:
        """Commit the fault. Whoever can't go on after it raises _RefusedError."""
        match self._plan.fault:
            case "half-close":
                self.socket.shutdown(socket.SHUT_WR)
                self._hear_out()
            case "silence":
                self._hear_out()
            case "garbage":
                self._send(JUNK)
                self._hear_out()
            case "trickle":
                self._trickles = True
            case "full":
                self._flood()
            case "reset":
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise _RefusedError
            case "close":
                raise _RefusedError

    def _hear_out(self) -> None:
        """Say nothing any more, and listen to the end."""
        while octets := self.socket.recv(4096):
            self._heard += octets
            if self._has_ended and not self.is_acknowledged:
                self.is_acknowledged = self._heard.startswith(b"2")
        raise _RefusedError

    def _flood(self) -> None:
        """Send commands, never read a reply, until nothing goes out any more; then wait until it is over."""
        self.socket.settimeout(BLOCKED)
        with contextlib.suppress(TimeoutError):
            for _ in range(MAX_FLOOD // len(FLOOD)):
                self.socket.sendall(FLOOD)
        self._over.wait(self._plan.patience)
        raise _RefusedError

    def _encrypt(self) -> None:
        self.socket = _CONTEXT.wrap_socket(self.socket)

    def _say(self, line: str, expected: bytes = b"2") -> bytes:
        self._send(line.encode() + b"\r\n")
        return self._expect(expected)

    def _send(self, octets: bytes) -> None:
        if not self._trickles:
            self.socket.sendall(octets)
            return
        for place in range(len(octets)):
            self.socket.sendall(octets[place : place + 1])
            if self._over.wait(self._plan.pace):
                raise _RefusedError

    def _expect(self, first: bytes) -> bytes:
        """Read a reply; its last line. A goodbye may be behind it."""
        line = b"000-"
        while line[3:4] == b"-":
            while b"\r\n" not in self._heard:
                octets = self.socket.recv(4096)
                if not octets:
                    raise _RefusedError
                self._heard += octets
            line, _, self._heard = self._heard.partition(b"\r\n")
        if not line.startswith(first):
            raise _RefusedError
        return line


def play(plan: Plan, over: threading.Event, pause: Callable[[bool], object] = bool) -> bool:
    """Make the attempt; whether the client was told that its message is taken.

    `pause` is called at the step where the fault is "pause", with what is so by then. `over` is set when those may
    leave who still wait.
    """
    client = _Client(plan, over)
    try:
        for step in client.steps():
            if step == plan.step:
                if plan.fault == "pause":
                    pause(client.is_acknowledged)
                client.fail()
    except (OSError, _RefusedError):
        pass  # what became of the message is told by others
    finally:
        client.socket.close()
    return client.is_acknowledged


def start(plan: Plan) -> subprocess.Popen[str]:
    """Start the program for an attempt that pauses."""
    command = [sys.executable, "-m", "tests.support.failing_client", plan.to_json()]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """The program; see the module's docstring."""

    def pause(is_acknowledged: bool) -> None:
        print(_TELLING[is_acknowledged], flush=True)
        sys.stdin.readline()

    print(_TELLING[play(Plan(**json.loads(sys.argv[1])), threading.Event(), pause)], flush=True)


if __name__ == "__main__":
    main()
