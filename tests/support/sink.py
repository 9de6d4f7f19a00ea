"""A relay in the test's own process that does as it is told: the mail system downstream, scripted.

It asks a function what to do at each step. `script` makes one that takes everything, unless its mapping says else:

    "connect"                       in place of the greeting
    "EHLO", "MAIL", "RCPT", ...     in place of the reply to the command
    "RCPT TO:<bob@example.com>"     any longer beginning of a command line wins over a shorter one
    "content"                       once DATA was answered with 354, before a single line of the message is read
    "."                             in place of the reply to the final dot
    "BDAT"                          in place of the reply to a chunk, once it was read

What happens is an Answer, or a list of them, one for each time that the step is reached; the last one stays. Every
octet that arrives is kept by connection, and as lines, over all connections, in `lines`.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from tests.support.network import PATIENCE

KEYWORDS = ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE", "DSN")


@dataclass(frozen=True, slots=True)
class Answer:
    """Octets to send, and how it goes on: the next command, or an end of some kind.

    "silence" reads on and says no more. `after` is an event that is waited for first: a delay without a clock.
    """

    octets: bytes = b""
    then: Literal["continue", "close", "reset", "half-close", "silence"] = "continue"
    after: threading.Event | None = None


def reply(*lines: str) -> Answer:
    """`reply("550 5.1.1 No such user")`; several lines are sent as given, so codes and hyphens are the caller's."""
    return Answer("".join(f"{line}\r\n" for line in lines).encode())


def script(
    steps: Mapping[str, Answer | Sequence[Answer]] | None = None, keywords: Sequence[str] = KEYWORDS
) -> Callable[[str], Answer]:
    """What to do at each step, by the longest key that it begins with; `keywords` are what EHLO offers."""
    hello = ("relay.test.example", *keywords)
    last = len(hello) - 1
    ehlo = (f"250{' ' if number == last else '-'}{line}" for number, line in enumerate(hello))
    answers: dict[str, Answer | Sequence[Answer]] = {
        "": reply("250 2.0.0 OK"),
        "connect": reply("220 relay.test.example ESMTP"),
        "content": Answer(),
        "EHLO": reply(*ehlo),
        "DATA": reply("354 Go ahead"),
        "QUIT": reply("221 2.0.0 Bye"),
        ".": reply("250 2.0.0 Message accepted for delivery"),
        **(steps or {}),
    }
    turns = {step.upper(): deque([said] if isinstance(said, Answer) else said) for step, said in answers.items()}
    lock = threading.Lock()

    def answer(step: str) -> Answer:
        with lock:
            left = turns[max((known for known in turns if step.upper().startswith(known)), key=len)]
            return left.popleft() if len(left) > 1 else left[0]

    return answer


class Sink:
    """One listening relay; `with` starts and ends it. `answer` may be replaced at any time."""

    def __init__(self, answer: Callable[[str], Answer] | None = None) -> None:
        self.answer = answer or script()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._server.getsockname()[1]
        self.connections: list[Connection] = []
        self.lines: queue.SimpleQueue[tuple[Connection, bytes]] = queue.SimpleQueue()
        """Each line as it arrives, CRLF included; empty where a connection ends."""

    @property
    def address(self) -> str:
        """For the relay's `address` in a configuration."""
        return f"127.0.0.1:{self.port}"

    def disconnect(self) -> None:
        """Close the connections there are, and wait until nothing of them goes on."""
        for connection in self.connections:
            connection.close()
        for thread in self._threads[1:]:
            thread.join(PATIENCE)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._threads[0].join(PATIENCE)
        self.disconnect()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each reply goes out at once, as scripted
            connection = Connection(self, sock)
            self.connections.append(connection)
            self._start(connection.serve)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()


class Connection:
    """One connection to the sink: a thread reads whatever comes, whenever it comes, another answers it in turn."""

    def __init__(self, sink: Sink, sock: socket.socket) -> None:
        self._sink = sink
        self._socket = sock
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.received = bytearray()
        self.messages: list[bytes] = []
        """The messages that were ended by a dot, as they came: dots still doubled, without the last line."""
        self.is_over = threading.Event()
        self._is_reset = False

    def serve(self) -> None:
        """Talk until one of both ends it."""
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        try:
            if self._do("connect"):
                self._serve_commands()
        except OSError:
            pass  # reset by the other end, which is its right
        finally:
            if not self._is_reset:
                self.close()
            reader.join(PATIENCE)
            self._socket.close()
            self.is_over.set()

    def close(self) -> None:
        """End it, from whatever thread."""
        with contextlib.suppress(OSError):  # it may have ended already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        """Keep every line, until the connection ends."""
        with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
            while line := stream.readline():
                self.received += line
                self._sink.lines.put((self, line))
                self._lines.put(line)
        self._sink.lines.put((self, b""))
        self._lines.put(b"")

    def _serve_commands(self) -> None:
        while line := self._lines.get():
            step = line.decode("latin-1").rstrip("\r\n")
            if step.upper().startswith("BDAT ") and not self._take_chunk(int(step.split()[1])):
                return
            answer = self._sink.answer(step)
            if not self._carry_out(answer) or step.upper() == "QUIT":
                return
            is_data = step.upper() == "DATA" and answer.octets.startswith(b"354")
            if is_data and not (self._do("content") and self._take_message() and self._do(".")):
                return

    def _take_message(self) -> bool:
        lines: list[bytes] = []
        while line := self._lines.get():
            if line == b".\r\n":
                self.messages.append(b"".join(lines))
                return True
            lines.append(line)
        return False

    def _take_chunk(self, size: int) -> bool:
        """Read a chunk, which has to end with a line: the octets are counted line by line."""
        while size > 0 and (line := self._lines.get()):
            size -= len(line)
        return size == 0

    def _do(self, step: str) -> bool:
        return self._carry_out(self._sink.answer(step))

    def _carry_out(self, answer: Answer) -> bool:
        """Do what the script says; whether it goes on."""
        if answer.after is not None and not answer.after.wait(PATIENCE):
            return False
        self._socket.sendall(answer.octets)
        if answer.then == "reset":
            # The reader is let go without a word to the other end: closing then sends nothing but the reset.
            self._is_reset = True
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.shutdown(socket.SHUT_RD)
        elif answer.then == "half-close":
            self._socket.shutdown(socket.SHUT_WR)
        if answer.then in ("silence", "half-close"):
            while self._lines.get():
                pass
        return answer.then == "continue"
