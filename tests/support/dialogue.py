"""Plays transcripts: a client, the service, and the relay behind it, line by line. tests/dialogues/README.md has the
notation.

The client and the relay are ours and do what the transcript says; what the service sends to either has to be what the
transcript says. The play never sleeps: it waits for a line, for as long as `PATIENCE`.
"""

from __future__ import annotations

import base64
import itertools
import queue
import re
import socket
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import sasl_client
from tests.support.network import PATIENCE
from tests.support.server import Server, Settings
from tests.support.sink import KEYWORDS, Answer, Sink, script

ANYTHING = "<...>"
UNTOLD = ("EHLO", "HELO", "RSET", "NOOP", "QUIT")
"""Verbs between service and relay that a transcript doesn't show; the relay answers them by itself."""

_STEP = re.compile(r"(C|S|U|R)(?:([:!]) ?| )(.*)")
_ANSWERS = {"cram-md5": sasl_client.cram_md5, "digest-md5": sasl_client.digest_md5, "scram": sasl_client.scram}
_INSERTION = re.compile(r"\{(base64|cram-md5|digest-md5|scram|repeat) ([^}]*)\}")


class DialogueError(AssertionError):
    """The play went otherwise than written; the text says where and what came instead."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the play. `sign` is who and how, as in `C:`; several lines of one batch or reply are one step."""

    number: int
    sign: str
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        """What stands behind the sign, where that is one line."""
        return self.texts[0]


@dataclass(frozen=True, slots=True)
class Transcript:
    """A play, and the stage that it wants."""

    path: Path
    listener: str
    settings: str
    """TOML."""
    keywords: tuple[str, ...]
    """What the relay offers besides the usual."""
    steps: tuple[Step, ...]

    @classmethod
    def read(cls, path: Path) -> Transcript:
        """Parse a file. Raises ValueError for what is no transcript."""
        steps = []
        headers: dict[str, list[str]] = {"Listener": [], "Setting": [], "Relay": []}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            name, _, value = line.partition(": ")
            match = _STEP.fullmatch(line)
            if match:
                steps.append(Step(number, match[1] + (match[2] or ""), (match[3],)))
            elif name in headers:
                headers[name].append(value)
            elif line == "TLS":
                steps.append(Step(number, "TLS", ("",)))
            elif line.strip() and not line.startswith("#"):
                raise ValueError(f"{path}:{number}: no step of a transcript: {line}")
        listener, *_ = headers["Listener"]
        return cls(path, listener, "\n".join(headers["Setting"]), tuple(headers["Relay"]), tuple(_batches(steps)))

    @property
    def behaviour(self) -> Callable[[str], Answer]:
        """What its relay does where the transcript doesn't say."""
        return script(keywords=(*KEYWORDS, *self.keywords))

    @property
    def wanted(self) -> Settings:
        """What its service's configuration is to have besides the defaults.

        Messages in transcripts are short, so they are completed only where a transcript is about that.
        """
        settings = tomllib.loads(self.settings)
        settings.setdefault("policy", {}).setdefault("complete_header", False)
        return settings


def play(transcript: Transcript, server: Server, sink: Sink) -> None:
    """Play a transcript against a running server whose relay is `sink`. Raises DialogueError."""
    sink.disconnect()
    relay = _Relay(sink, transcript.behaviour)
    client = _Client(server, transcript.listener)
    try:
        for step in transcript.steps:
            try:
                (relay if step.sign[0] in "UR" else client).perform(step)
            except (AssertionError, OSError) as error:
                said = "".join(f"\n    {line}" for line in (*client.heard, *relay.heard)[-40:])
                raise DialogueError(f"{transcript.path}:{step.number}: {error}{said}") from error
        client.part()
        relay.check_silence()
    finally:
        client.close()
        relay.leave()


def _batches(steps: list[Step]) -> Iterator[Step]:
    """Join what goes out in one packet: consecutive lines of the client, the lines of a reply of the relay's."""
    for sign, group in itertools.groupby(steps, key=lambda step: step.sign):
        batch = list(group)
        if sign == "C:":
            yield Step(batch[0].number, sign, tuple(text for step in batch for text in step.texts))
        elif sign == "R:":
            yield from _replies(batch)
        else:
            yield from batch


def _replies(lines: list[Step]) -> Iterator[Step]:
    """One step a reply: its last line has a blank behind the code."""
    texts: list[str] = []
    for line in lines:
        texts += line.texts
        if line.texts[0][3:4] != "-":
            yield Step(line.number, "R:", tuple(texts))
            texts = []


def _matches(pattern: str, line: bytes) -> bool:
    """Whether a line, ended by CRLF, is as written; ANYTHING stands for any octets of one line."""
    expression = rb".*".join(re.escape(part.encode()) for part in pattern.split(ANYTHING))
    return re.fullmatch(expression + rb"\r\n", line) is not None


def _check(pattern: str, line: bytes) -> None:
    if not _matches(pattern, line):
        raise DialogueError(f"expected {pattern!r}, got {line!r}")


class _Client:
    """The mail program, and what it hears of the service."""

    def __init__(self, server: Server, kind: str) -> None:
        self._server = server
        self._socket: socket.socket = server.connect(kind)
        self._input = self._socket.makefile("rb")
        self._challenge = b""
        self._is_over = False
        self.heard: list[str] = []

    def perform(self, step: Step) -> None:
        match step.sign, step.text:
            case "C:", _:
                self.send(b"".join(fill(line, self._challenge) + b"\r\n" for line in step.texts))
            case "C!", text:
                self.send(fill(text, self._challenge))
            case "C", "close":
                self.close()
            case "C", "half-close":
                self._socket.shutdown(socket.SHUT_WR)
            case "S:", pattern:
                self.expect(pattern)
            case "S", "close":
                self.expect_end()
            case "S", code:
                self.expect_reply(code)
            case "TLS", _:
                self.start_tls()
            case _:
                raise DialogueError(f"there is no such step: {step.sign} {step.text}")

    def send(self, octets: bytes) -> None:
        self.heard.append(f"C: {octets!r}"[:200])
        self._socket.sendall(octets)

    def expect(self, pattern: str) -> None:
        line = self._read()
        _check(pattern, line)
        if line.startswith(b"334 "):
            self._challenge = base64.b64decode(line[4:])

    def expect_reply(self, code: str) -> None:
        while (line := self._read()).startswith(f"{code}-".encode()):
            pass
        _check(f"{code} {ANYTHING}", line)

    def expect_end(self) -> None:
        self._is_over = True
        line = self._read()
        if line:
            raise DialogueError(f"expected the end of the connection, got {line!r}")

    def part(self) -> None:
        """Say QUIT, if there is still a connection, and hear nothing but the answer to that."""
        if self._is_over:
            return
        try:
            self.send(b"QUIT\r\n")
            self.expect("221 2.0.0 Bye")
            self.expect_end()
        except (DialogueError, OSError) as error:
            raise DialogueError(f"behind the end of the transcript: {error}") from error

    def start_tls(self) -> None:
        self._input.close()
        self._socket = self._server.encrypt(self._socket)
        self._input = self._socket.makefile("rb")

    def close(self) -> None:
        self._is_over = True
        self._input.close()
        self._socket.close()

    def _read(self) -> bytes:
        try:
            line = self._input.readline()
        except ConnectionResetError:
            line = b""
        self.heard.append(f"S: {line!r}")
        return line


def fill(text: str, challenge: bytes = b"") -> bytes:
    """The octets of a client's line: escapes such as \\r and \\0 are resolved, then the insertions in braces."""
    raw = re.sub(r"\\(?:x[0-9a-f]{2}|[rnt0\\])", lambda match: _unescape(match[0]), text)
    return _INSERTION.sub(lambda match: _insert(match[1], match[2], challenge.decode()), raw).encode("latin-1")


def _insert(what: str, argument: str, challenge: str) -> str:
    if what == "repeat":
        count, _, text = argument.partition(" ")
        return text * int(count)
    if what == "base64":
        return base64.b64encode(argument.encode("latin-1")).decode()
    argument, password = argument.split(" ")
    return base64.b64encode(_ANSWERS[what](challenge, argument, password).encode()).decode()


def _unescape(escape: str) -> str:
    letters = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
    return letters.get(escape[1]) or bytes.fromhex(escape[2:]).decode("latin-1")


class _Relay:
    """The mail system: what it is asked, and what it answers."""

    def __init__(self, sink: Sink, usual: Callable[[str], Answer]) -> None:
        self._sink = sink
        self._usual = usual
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._content = False
        self.heard: list[str] = []
        while not sink.lines.empty():
            sink.lines.get()
        sink.answer = self._decide
        self._pushed_back: list[bytes] = []

    def perform(self, step: Step) -> None:
        match step.sign, step.text:
            case "U:", pattern:
                self.expect(pattern)
            case "U", "Received":
                self.expect_trace_field()
            case "U", "close":
                self.expect_end()
            case "R:", _:
                self.answer(step.texts)
            case "R", text if text.startswith("close"):
                self.close(text.removeprefix("close").removeprefix(": "))
            case _:
                raise DialogueError(f"there is no such step: {step.sign} {step.text}")

    def expect(self, pattern: str) -> None:
        while not (line := self._read()):
            pass  # the end of a connection that the transcript has done with
        _check(pattern, line)
        if line == b".\r\n":
            self._content = False

    def expect_trace_field(self) -> None:
        """A Received field of the service's, all its lines."""
        _check(f"Received: {ANYTHING}", self._read())
        while (line := self._read())[:1] in (b" ", b"\t"):
            pass
        self._pushed_back.append(line)

    def expect_end(self) -> None:
        """The connection ends; a message that was under way must not have been completed."""
        while line := self._read():
            if not self._content or line == b".\r\n":
                raise DialogueError(f"expected the end of the relay's connection, got {line!r}")
        self._content = False

    def answer(self, lines: tuple[str, ...]) -> None:
        octets = "".join(f"{line}\r\n" for line in lines).encode()
        self._content = octets.startswith(b"354")
        self._answers.put(Answer(octets))

    def close(self, last_word: str) -> None:
        octets = f"{last_word}\r\n".encode() if last_word else b""
        self._answers.put(Answer(octets, then="close"))

    def check_silence(self) -> None:
        """Everything that the relay got was written in the transcript."""
        while not self._sink.lines.empty():
            if line := self._next():
                raise DialogueError(f"the relay got what the transcript doesn't tell: {line!r}")

    def leave(self) -> None:
        """Let go of the sink, whatever it waits for."""
        self._answers.put(None)
        self._sink.disconnect()
        self._sink.answer = self._usual

    def _read(self) -> bytes:
        return self._pushed_back.pop() if self._pushed_back else self._next()

    def _next(self) -> bytes:
        """The next line that a transcript tells; empty where a connection ends."""
        while True:
            try:
                _, line = self._sink.lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise DialogueError("the relay got nothing more") from None
            if self._content or line[:4].decode("latin-1").upper() not in UNTOLD:
                self.heard.append(f"U: {line!r}")
                return line

    def _decide(self, step: str) -> Answer:
        if step in ("connect", "content") or step[:4].upper() in UNTOLD:
            return self._usual(step)
        answer = self._answers.get()
        if answer is None:
            self._answers.put(None)  # for whoever else waits
            return Answer(then="close")
        return answer
