"""What is shown of a client's lines; tests/service/test_debug.py has whole dialogues."""

import asyncio
import base64
import io
import shlex
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission import logs
from submission.smtp.dialogue import STARS, ShownStream, _starred_command
from submission.smtp.stream import BadLineError


@pytest.mark.parametrize(
    "line",
    [
        b"EHLO client.example",
        b"ehlo [IPv6:2001:db8::1]",
        b"HELO caf\xc3\xa9.example",
        b"STARTTLS",
        b"MAIL FROM:<alice@example.com> SIZE=1000 BODY=8BITMIME AUTH=<>",
        b"MAIL FROM: alice@example.com",
        b"rcpt to:<bob@example.com> NOTIFY=NEVER",
        b"DATA ",
        b"BDAT 1000",
        b"bdat 1000 last",
        b"AUTH CRAM-MD5",
        b"auth scram-sha-256-plus",
        b"QUIT",
    ],
)
def test_commands_are_shown(line: bytes) -> None:
    assert _starred_command(line) == line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"AUTH PLAIN AHNlc2FtZQ==", b"AUTH PLAIN ****"),
        (b"auth  login  YWxpY2U= sesame", b"auth login ****"),
        (b"AUTH PLAIN =", b"AUTH PLAIN ****"),
        (b"AUTH sesame", STARS),
        (b"AUTH c2VzYW1l YWxpY2U=", STARS),
        (b"AUTH=PLAIN AHNlc2FtZQ==", STARS),
        (b" AUTH PLAIN AHNlc2FtZQ==", STARS),
        (b"c2VzYW1l", STARS),
        (b"NOOP sesame", STARS),
        (b"EHLO client.example sesame", STARS),
        (b"Mail from alice to bob", STARS),
        (b"MAIL FROM: Alice, to Bob: hello", STARS),
        (b"BDAT 1000 bits of text", STARS),
        (b"", STARS),
    ],
)
def test_what_may_hold_a_secret_is_not(line: bytes, shown: bytes) -> None:
    assert _starred_command(line) == shown


@given(st.binary(min_size=7), st.sampled_from([b"", b"AUTH PLAIN ", b"AUTH ", b"auth LOGIN ", b"XAUTH PLAIN "]))
def test_no_credentials_are_shown_wherever_they_stand(credentials: bytes, before: bytes) -> None:
    """Twelve characters of base64 are no mechanism and no verb."""
    encoded = base64.b64encode(credentials)
    assert encoded not in _starred_command(before + encoded)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr(logs, "_output", logs._Output("logfmt", stream))
    return stream


def shown(log: io.StringIO) -> list[str]:
    lines = [shlex.split(line) for line in log.getvalue().splitlines()]
    assert {tuple(line[1:3]) for line in lines} <= {("event=dialogue", "session=0123456789ab")}
    return [line[3].removeprefix("line=") for line in lines]


async def test_an_exchange_is_over_with_the_next_reply_and_a_message_is_its_size(log: io.StringIO) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    stream = ShownStream(loop, transport, 30.0, "0123456789ab")
    stream.feed(b"c2VzYW1l\r\nQUIT\r\n*\r\nsecret\x1bcode\r\nDATA\r\nSubject: x\r\n.\r\nNOOP\r\n")
    stream.write(b"334 PDE4OTYuNjk3MTcwOTUyQD4=\r\n")
    assert stream.take_line(100) == b"c2VzYW1l"
    assert stream.take_line(100) == b"QUIT"  # nobody said that an exchange is of one line
    stream.write(b"334 VXNlcm5hbWU6\r\n")
    assert stream.take_line(100) == b"*"
    stream.write(b"250-one\r\n250 \xe2\x80\xae\x1btwo\r\n")
    with pytest.raises(BadLineError):
        stream.take_line(100)
    assert stream.take_line(100) == b"DATA"
    stream.write(b"354 go\r\n")
    content = await stream.chunk(17)
    stream.give_back(content[15:])
    assert stream.take_line(100) == b"NOOP"
    assert stream.take_line(100) is None
    transport.abort()
    theirs.close()
    assert shown(log) == [
        "S: 334 ****",
        "C: ****",
        "C: ****",
        "S: 334 ****",
        "C: *",
        "S: 250-one",
        r"S: 250 \u202e\x1btwo",
        "C: **** (control characters)",
        "C: DATA",
        "S: 354 go",
        "C: **** (15 octets)",
        "C: NOOP",
    ]
