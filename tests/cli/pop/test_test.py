"""submission pop test."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.core.poplog.journal import MAX_JSON
from submission.core.poplog.registry import FORMATS
from tests.support.poplog import all_sessions

HEAD = b"Nov 21 02:19:24 mail "
DOVECOT = HEAD + b"dovecot: pop3-login: Login: user=<%s>, method=PLAIN, rip=192.0.2.50, lip=192.0.2.1, session=<b>\n"
COURIER = HEAD + b"imapd: LOGIN, user=joe, ip=[::ffff:192.0.2.50], port=[48607], protocol=IMAP\n"


def run(data: bytes, *arguments: str) -> Result:
    return CliRunner().invoke(commands, ["pop", "test", *arguments], input=data)


def told(data: bytes, *arguments: str) -> list[str]:
    result = run(data, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_a_line_for_each() -> None:
    data = DOVECOT % b"joe" + b"\n" + b"rubbish\n" + COURIER
    assert told(data) == ["joe 192.0.2.50 pop3", "-", "-", "joe 192.0.2.50 imap"]


def test_the_last_line_may_have_no_end() -> None:
    assert told(COURIER.strip()) == ["joe 192.0.2.50 imap"]
    assert told(b"") == []


def test_recorded_lines() -> None:
    lines = [line for session in all_sessions() for line in session]
    data = b"".join(line.text + b"\n" for line in lines)
    assert told(data) == [line.verdict.removesuffix(" undecided") for line in lines]


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        (b"joe smith", "joe smith"),
        (b'joe "q" \\', 'joe "q" \\'),
        ("jörg".encode(), "jörg"),
        (b"j\xf6rg", "j\\xf6rg"),
        (b"joe\x1b[31m", "joe\\x1b[31m"),
        ("\u202ejoe".encode(), "\\u202ejoe"),
        (b"joe\r\t", "joe\\r\\t"),
    ],
)
def test_users_are_shown_as_logged_but_for_what_cannot_be_printed(user: bytes, shown: str) -> None:
    assert told(DOVECOT % user) == [f"{shown} 192.0.2.50 pop3"]


def test_formats() -> None:
    data = DOVECOT % b"joe" + COURIER
    assert told(data, "--formats", "courier") == ["-", "joe 192.0.2.50 imap"]
    assert told(data, "--formats", "courier, dovecot") == ["joe 192.0.2.50 pop3", "joe 192.0.2.50 imap"]


def test_no_such_format() -> None:
    result = run(b"", "--formats", "dovecot,nonsense")
    assert result.exit_code == 2
    assert "nonsense is none of dovecot, courier, " in " ".join(result.stderr.split())


def test_help_names_what_it_prints() -> None:
    text = " ".join(run(b"", "--help").stdout.split())
    assert "`user ip proto`" in text
    assert "blanks and quotes included" in text


def test_own_patterns(tmp_path: Path) -> None:
    file = tmp_path / "submission.toml"
    sample = "Nov 21 02:59:00 mail popd[12]: login of joe from 192.0.2.50"
    file.write_text(
        f"""
        [[listen]]
        address = "127.0.0.1:587"
        tls = "none"
        [[pop_before_smtp.pattern]]
        name = "popd"
        regex = "popd: login of (?P<user>.+) from (?P<ip>[^ ]+)"
        samples = ["{sample}"]
        """
    )
    assert told(sample.encode(), "-c", str(file)) == ["joe 192.0.2.50 pop3"]
    assert told(sample.encode()) == ["-"]


def test_long_lines_are_one_line_each() -> None:
    long = DOVECOT % (b"x" * (3 * MAX_JSON))
    assert told(long + COURIER) == ["-", "joe 192.0.2.50 imap"]


def test_every_format_can_be_named() -> None:
    assert told(b"", "--formats", ",".join(FORMATS)) == []
