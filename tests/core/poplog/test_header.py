"""Headers of log lines: each form, what is none, and the time that they tell."""

import datetime
import time
from datetime import timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.core.poplog.header import MAX_LINE, parse_line, parse_stamp

NOW = datetime.datetime(2026, 11, 21, 3, 0, tzinfo=datetime.UTC).timestamp()
ISO = "2026-11-21T02:19:24.964721+00:00"


@pytest.mark.parametrize(
    ("line", "program", "pid", "host", "message"),
    [
        ("Nov 21 02:19:24 mail dovecot: a: b", "dovecot", "", "mail", "a: b"),
        ("Nov  1 02:19:24 mail.example.com popper[4711]: (v4)", "popper", "4711", "mail.example.com", "(v4)"),
        ("<22>Nov 21 02:19:24 mail dovecot: x", "dovecot", "", "mail", "x"),
        ("<22>Nov 21 02:19:24 dovecot: x", "dovecot", "", "", "x"),
        ("Nov 21 02:19:24 dovecot[7]: x", "dovecot", "7", "", "x"),
        ("Nov 21 02:19:24 mail mail.info dovecot: x", "dovecot", "", "mail", "x"),
        ("Nov 21 02:19:24 mail authpriv.notice dovecot: x", "dovecot", "", "mail", "x"),
        ("Nov 21 02:19:24 2001:db8::1 dovecot: x", "dovecot", "", "2001:db8::1", "x"),
        ("Nov 21 02:19:24 mail ipop3d[42]: [ID 210418 mail.info] Login", "ipop3d", "42", "mail", "Login"),
        ("Nov 21 02:19:24 mail cyrus/pop3[38]: x", "cyrus/pop3", "38", "mail", "x"),
        ("Nov 21 02:19:24 mail mail nginx: x", "nginx", "", "mail", "x"),
        (
            "Nov 21 02:19:24 mail pop3d[9]: message repeated 3 times: [ LOGIN, ip=[x]]",
            "pop3d",
            "",
            "mail",
            "LOGIN, ip=[x]",
        ),
        (f"{ISO} mail imapd[9]: x", "imapd", "9", "mail", "x"),
        ("2026-11-21T02:19:24Z mail imapd[9]: x", "imapd", "9", "mail", "x"),
        ("2026-11-21 02:19:24 imap-login: Info: x", "imap-login", "", "", "Info: x"),
        (f"<22>1 {ISO} mail dovecot - - -  x", "dovecot", "", "mail", "x"),
        (f"<22>1 {ISO} mail dovecot 12 - - x", "dovecot", "12", "mail", "x"),
        (f"<22>1 {ISO} mail popa3d 12 ID7 - \ufeffx", "popa3d", "12", "mail", "x"),
        (f'<22>1 {ISO} mail popa3d 12 - [a@1 b="c\\]\\"d"][e] x', "popa3d", "12", "mail", "x"),
        (f"<22>1 {ISO} mail mail - - -  nginx: x", "nginx", "", "mail", "x"),
        ("imap-login: 2004-03-06 10:54:52 Info: x", "", "", "", "imap-login: 2004-03-06 10:54:52 Info: x"),
        ("@4000000069aab2cc1d3bfc64 tcpserver: x", "", "", "", "tcpserver: x"),
        ("Mar  6 2004 10:54:52 1 IMAP User x", "", "", "", "Mar  6 2004 10:54:52 1 IMAP User x"),
        ("Nov 21 03:35:15 mail last message repeated 2 times", "", "", "", None),
    ],
)
def test_headers(line: str, program: str, pid: str, host: str, message: str | None) -> None:
    entry = parse_line(line.encode())
    assert entry is not None
    wanted = (line if message is None else message).encode()
    assert (entry.program, entry.pid, entry.host, entry.message) == (
        program.encode(),
        pid.encode(),
        host.encode(),
        wanted,
    )


@pytest.mark.parametrize("program", ["postfix/smtpd", "sendmail", "spamd", "x dovecot", "mail other nginx"])
def test_what_a_program_writes_is_never_a_header(program: str) -> None:
    """However its message goes on, the program is the first one."""
    line = f"Nov 21 02:19:24 mail {program}[1]: Nov 21 02:19:24 mail dovecot: x"
    entry = parse_line(line.encode())
    assert entry is not None
    assert entry.program in (program.encode(), b"")


def test_a_repeated_line_must_be_whole() -> None:
    entry = parse_line(b"Nov 21 02:19:24 mail pop3d: message repeated 3 times: [ LOGIN, ip=[x]")
    assert entry is not None
    assert entry.message == b"LOGIN, ip=[x"


def test_length() -> None:
    line = b"Nov 21 02:19:24 mail dovecot: "
    assert parse_line(line.ljust(MAX_LINE, b"x")) is not None
    assert parse_line(line.ljust(MAX_LINE + 1, b"x")) is None
    assert parse_line(b"") is None


def test_busybox_cuts_early() -> None:
    line = b"Nov 21 02:19:24 mail mail.info dovecot: "
    assert parse_line(line + b"x" * 200) is not None
    assert parse_line(line + b"x" * 215) is None


def local(*parts: int) -> datetime.datetime:
    """A time of day without a zone, as RFC 3164 has it."""
    return datetime.datetime(*parts)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("Nov 21 02:19:24", local(2026, 11, 21, 2, 19, 24)),
        ("Nov  1 02:19:24", local(2026, 11, 1, 2, 19, 24)),
        ("Jan  2 00:00:00", local(2027, 1, 2)),
        ("Jun  1 00:00:00", local(2026, 6, 1)),
        ("Feb 29 00:00:00", None),
        ("Nov 31 00:00:00", None),
        ("Xyz 21 00:00:00", None),
        ("Nov 21 23:59:60", local(2026, 11, 21, 23, 59, 59)),
        ("2026-11-21T02:19:24Z", datetime.datetime(2026, 11, 21, 2, 19, 24, tzinfo=datetime.UTC)),
        (
            "2026-11-21T02:19:24.5+01:00",
            datetime.datetime(2026, 11, 21, 2, 19, 24, 500000, tzinfo=timezone(timedelta(hours=1))),
        ),
        ("2026-11-21T23:59:60Z", datetime.datetime(2026, 11, 21, 23, 59, 59, tzinfo=datetime.UTC)),
        ("2026-13-21T23:59:00Z", None),
    ],
)
def test_stamps(stamp: str, time: datetime.datetime | None) -> None:
    assert parse_stamp(stamp.encode(), NOW) == time


def test_the_year_is_the_closest_one() -> None:
    new_year = datetime.datetime(2027, 1, 1, 0, 0, 5, tzinfo=datetime.UTC).timestamp()
    assert parse_stamp(b"Dec 31 23:59:58", new_year) == local(2026, 12, 31, 23, 59, 58)
    leap = datetime.datetime(2028, 3, 1, tzinfo=datetime.UTC).timestamp()
    assert parse_stamp(b"Feb 29 12:00:00", leap) == local(2028, 2, 29, 12)


@given(line=st.binary(max_size=200), now=st.floats(allow_nan=False, min_value=-1e18, max_value=1e18))
@example(line=b"Nov 21 02:19:24 mail x: y", now=-1e17)
@example(line=b"9999-12-31T23:59:59Z mail x: y", now=1e17)
def test_any_line(line: bytes, now: float) -> None:
    entry = parse_line(line)
    if entry is not None and entry.stamp:
        assert isinstance(entry.stamp, bytes)
        parse_stamp(entry.stamp, now)


@pytest.mark.parametrize(
    "piece", [b" ", b"[", b"]", b'["', b'\\"', b"a ", b"mail ", b"Nov 21 02:19:24 ", b"mail.info ", b"<22>1 ", b"\xff"]
)
def test_hostile_lines_take_no_time(piece: bytes) -> None:
    """The bound keeps even a quadratic expression below this; an exponential one would not end."""
    for start in (b"", b"Nov 21 02:19:24 ", b"<22>1 2026-11-21T02:19:24Z mail x - - "):
        line = (start + piece * MAX_LINE)[:MAX_LINE]
        begin = time.process_time()
        for _ in range(20):
            parse_line(line)
        assert time.process_time() - begin < 1
