"""The octets behind DATA's 354, cut anywhere: what goes on is a beginning of the message, and was checked.

The model has the whole stream at hand: it looks for the first CRLF.CRLF, the data's start counting as the start of a
line, and at the message for what must not be in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fuzz.input import Input
from submission.core import replies
from submission.core.datastream import DataScanner
from submission.core.replies import Reply

_SIZES = (1_000_000, 40, 5, 0)
_LINES = (1_000_000, 1000, 10, 1)
_CUTS = 6
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0")


def seeds() -> Iterator[bytes]:
    """Messages, and what has been sent to smuggle a second one past others."""
    for stream in (
        b"Subject: x\r\n\r\ntext\r\n.\r\nMAIL FROM:<>\r\n",
        b".\r\nQUIT\r\n",
        b"..\r\n...\r\n.a\r\n.\r\n",
        b"x\n.\r\nMAIL FROM:<>\r\n.\r\n",
        b"x\r\n.\nMAIL FROM:<>\r\n.\r\n",
        b"x\r.\r\n.\r\r\n.\r\n",
        b"nul\0\r\n.\r\n",
        b"a line of more than ten octets\r\n" * 3 + b".\r\n",
    ):
        for head in (bytes(2 + _CUTS), bytes([0, 0, 1, 2, 1, 1, 3, 1]), bytes([1, 2, 3, 9, 20, 1, 1, 1])):
            yield head + stream


def check(data: bytes) -> None:
    """Feed a stream in pieces."""
    choice = Input(data)
    max_size, max_line = _SIZES[choice.number(len(_SIZES))], _LINES[choice.number(len(_LINES))]
    stream = choice.rest[_CUTS:]
    chunks = choice.pieces(stream, _CUTS)
    content, rest = _split(stream)

    scanner = DataScanner(max_size, max_line)
    passed, left = bytearray(), list(chunks)
    while left and not scanner.ended:
        passed += scanner.feed(left.pop(0))

    assert scanner.ended == (rest is not None)
    assert content.startswith(passed)
    assert not _BARE.search(passed.removesuffix(b"\r")), "passed on what is refused"
    assert len(passed) <= max_size
    faults = _faults(content, max_size, max_line)
    if rest is None:
        assert scanner.fault is None or scanner.fault in faults or content.endswith(b"\r")
        assert len(content) - scanner.size <= 4, "holds more back than an end can begin with"
    else:
        assert scanner.rest + b"".join(left) == rest
        assert scanner.size == len(content)
        assert scanner.fault in (faults or {None})
        assert scanner.fault is not None or passed == content


def _split(stream: bytes) -> tuple[bytes, bytes | None]:
    """The message, and what is behind its end; None for the latter where it has none (RFC 5321 section 4.1.1.4)."""
    message, end, rest = (b"\r\n" + stream).partition(b"\r\n.\r\n")
    return (message[2:] + b"\r\n" if message else b"", rest) if end else (stream, None)


def _faults(content: bytes, max_size: int, max_line: int) -> set[Reply]:
    """All that is wrong with a message (RFC 5321 sections 2.3.8, 4.5.2 and 4.5.3.1)."""
    checks = {
        replies.BARE_LINE_ENDINGS: bool(_BARE.search(content)),
        replies.LINES_TOO_LONG: max(map(len, content.split(b"\r\n"))) > max_line,
        replies.MESSAGE_TOO_BIG: len(content) > max_size,
    }
    return {fault for fault, is_so in checks.items() if is_so}
