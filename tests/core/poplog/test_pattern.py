"""Patterns of an admin's own."""

import pytest

from submission.core.poplog.pattern import MAX_REGEX, Pattern, PatternError
from submission.core.poplog.reader import Reader
from tests.support.poplog import NOW, shown

POPD = Pattern("popd", r"popd: login of (?P<user>.+) from (?P<ip>[^ ]+)")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Nov 21 02:59:00 mail popd[12]: login of joe from 192.0.2.50", "joe 192.0.2.50 pop3"),
        (
            "Nov 21 02:59:00 mail popd: login of x from 203.0.113.66 from 192.0.2.50",
            "x from 203.0.113.66 192.0.2.50 pop3",
        ),
        ("Nov 21 02:59:00 mail popd: failed login of joe from 192.0.2.50", "-"),
        ("Nov 21 02:59:00 mail popd: login of joe from 192.0.2.50 ", "-"),
        ("Nov 21 02:59:00 mail other: popd: login of joe from 192.0.2.50", "-"),
        ("Nov 21 02:59:00 mail popd: login of joe from 127.0.0.1", "-"),
        ("Nov 21 02:59:00 mail popd: login of joe from client.example.net", "-"),
        ("Nov 21 02:59:00 mail popd: login of anonymous from 192.0.2.50", "-"),
        ("popd: login of joe from 192.0.2.50", "joe 192.0.2.50 pop3"),
    ],
)
def test_lines(line: str, told: str) -> None:
    login = Reader((), [POPD]).feed(line.encode(), NOW)
    assert shown(login) == told
    assert login is None or login.server == "popd"


def test_the_protocol_may_be_on_the_line() -> None:
    pattern = Pattern("x", "(?P<proto>[A-Z0-9]+) (?P<user>.+) (?P<ip>.+)")
    assert shown(Reader((), [pattern]).feed(b"IMAP joe 192.0.2.50", NOW)) == "joe 192.0.2.50 imap"


def test_from_the_journal_the_program_has_to_be_the_one() -> None:
    fields = {
        "MESSAGE": "login of joe from 192.0.2.50",
        "SYSLOG_IDENTIFIER": "popd",
        "_UID": "0",
        "_EXE": "/usr/sbin/popd",
    }
    assert shown(Reader((), [POPD]).feed(fields, NOW)) == "joe 192.0.2.50 pop3"
    assert Reader((), [POPD]).feed({**fields, "_EXE": "/usr/bin/logger"}, NOW) is None


@pytest.mark.parametrize(
    ("regex", "told"),
    [
        ("(", "is no regular expression of Python's: missing ), unterminated subpattern at position 0"),
        ("x", "must have (?P<user>…) and (?P<ip>…)"),
        ("(?P<user>x)", "must have (?P<ip>…)"),
        ("x" * (MAX_REGEX + 1), f"is longer than {MAX_REGEX} characters"),
        ("x{99999999999}", "is no regular expression of Python's: the repetition number is too large"),
    ],
)
def test_no_patterns(regex: str, told: str) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern("x", regex)
    assert str(caught.value) == told


def test_samples() -> None:
    right = "Nov 21 02:59:00 mail popd[12]: login of joe from 192.0.2.50"
    assert POPD.unmatched([right]) == []
    assert POPD.unmatched(["", right, "Nov 21 02:59:00 mail popd[12]: login of joe from ::1", "x" * 5000]) == [0, 2, 3]
