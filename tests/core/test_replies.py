import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core import replies
from submission.core.replies import MAX_TEXT, Reply

OURS = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}


def decode(data: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Code and lines by the grammar of RFC 5321 section 4.2, strictly."""
    assert data.endswith(b"\r\n")
    wire = data[:-2].split(b"\r\n")
    assert all(re.fullmatch(rb"[2-5][0-9]{2}[ -][^\r\n]*", line) for line in wire)
    assert {line[3:4] for line in wire[:-1]} <= {b"-"}
    assert wire[-1][3:4] == b" "
    assert len({line[:3] for line in wire}) == 1
    return int(wire[0][:3]), tuple(line[4:] for line in wire)


@pytest.mark.parametrize("reply", OURS.values(), ids=OURS)
def test_each_of_our_replies(reply: Reply) -> None:
    data = reply.encode()
    code, lines = decode(data)
    assert (code, lines) == (reply.code, reply.lines)
    assert data.isascii()
    for line in lines:
        match = re.fullmatch(rb"([245])\.(\d{1,3})\.(\d{1,3}) [!-~][ -~]*", line)
        assert match, line
        assert int(match[1]) == code // 100
        assert len(line) + 6 <= 512


def test_they_are_all_there_and_no_two_say_the_same() -> None:
    assert len(OURS) > 40
    assert len({reply.encode() for reply in OURS.values()}) == len(OURS)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("TLS_REQUIRED", "530 5.7.0"),
        ("AUTH_REQUIRED", "530 5.7.0"),
        ("ENCRYPTION_REQUIRED", "538 5.7.11"),
        ("AUTH_OK", "235 2.7.0"),
        ("AUTH_FAILED", "535 5.7.8"),
        ("AUTH_UNAVAILABLE", "454 4.7.0"),
        ("TOO_MANY_AUTH_FAILURES", "421 4.7.0"),
        ("BARE_LINE_ENDINGS", "554 5.6.0"),
        ("RELAY_UNREACHABLE", "451 4.4.1"),
        ("RELAY_LOST", "451 4.4.2"),
        ("SHUTTING_DOWN", "421 4.3.2"),
        ("OVERLOADED", "421 4.3.2"),
        ("IDLE", "421 4.4.2"),
        ("INTERNAL_ERROR", "451 4.3.0"),
    ],
)
def test_codes_that_are_documented(name: str, start: str) -> None:
    assert OURS[name].text.startswith(start + " ")


def test_several_lines() -> None:
    reply = replies.own(250, "1.5", "one", "two")
    assert reply.encode() == b"250-2.1.5 one\r\n250 2.1.5 two\r\n"
    assert reply.text == "250 2.1.5 one 2.1.5 two"


def test_a_line_of_the_relay_that_is_empty_or_not_utf8() -> None:
    reply = Reply(550, (b"", b"n\xf6"))
    assert reply.encode() == b"550-\r\n550 n\xf6\r\n"
    assert reply.text == "550  n\ufffd"


@pytest.mark.parametrize(
    ("code", "expected"), [(199, False), (200, True), (299, True), (300, False), (354, False), (550, False)]
)
def test_positive(code: int, expected: bool) -> None:
    assert Reply(code, (b"",)).is_positive is expected


@given(st.sampled_from([250, 421, 554]), st.text(st.characters(exclude_characters="\r\n"), max_size=600))
def test_texts_are_ascii_and_bounded(code: int, text: str) -> None:
    reply = replies.own(code, "1.0", text)
    assert reply.encode().isascii()
    assert len(reply.lines[0]) <= MAX_TEXT
    assert len(reply.encode()) <= 512


def test_greeting_and_hello() -> None:
    assert replies.greeting("mail.example.com").encode() == b"220 mail.example.com ESMTP submission service ready\r\n"
    assert replies.hello("mail.example.com").encode() == b"250 mail.example.com\r\n"
    hello = replies.hello("mail.example.com", "SIZE 1000", "AUTH PLAIN LOGIN")
    assert hello.encode() == b"250-mail.example.com\r\n250-SIZE 1000\r\n250 AUTH PLAIN LOGIN\r\n"


def test_host_names_outside_ascii_do_no_harm() -> None:
    assert replies.greeting("b\xfccher.example").encode().isascii()
    assert replies.hello("b\xfccher.example").encode() == b"250 b?cher.example\r\n"


def test_challenges() -> None:
    assert replies.challenge(b"PDEuMkBhPg==").encode() == b"334 PDEuMkBhPg==\r\n"
    assert replies.challenge(b"").encode() == b"334 \r\n"


@pytest.mark.parametrize(
    ("code", "lines", "completed"),
    [
        (250, (b"2.1.0 ok",), (b"2.1.0 ok",)),
        (250, (b"ok",), (b"2.0.0 ok",)),
        (250, (b"",), (b"2.0.0 ",)),
        (450, (b"later",), (b"4.0.0 later",)),
        (550, (b"5.7.1 first", b"second", b"5.7.1 third"), (b"5.7.1 first", b"5.7.1 second", b"5.7.1 third")),
        (550, (b"5.7.1", b"second"), (b"5.7.1", b"5.7.1 second")),
        (550, (b"first", b"5.7.1 second"), (b"5.0.0 first", b"5.7.1 second")),
        (250, (b"2.1.0-ok",), (b"2.0.0 2.1.0-ok",)),
        (250, (b"192.0.2.1 says hello",), (b"2.0.0 192.0.2.1 says hello",)),
        (354, (b"go ahead",), (b"go ahead",)),
        (334, (b"",), (b"",)),
    ],
)
def test_an_enhanced_code_is_added_where_there_is_none(
    code: int, lines: tuple[bytes, ...], completed: tuple[bytes, ...]
) -> None:
    assert Reply(code, lines).with_status() == Reply(code, completed)


def test_a_chunk_is_acknowledged_with_its_size() -> None:
    assert replies.chunk_taken(86).encode() == b"250 2.0.0 86 octets received\r\n"
