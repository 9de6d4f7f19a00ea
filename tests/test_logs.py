import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission import logs

FIELD = re.compile(r'([a-z_]+)=([!#-<>-\[\]-~]+|"(?:[^"\\]|\\.)*")(?: |\Z)')
ESCAPE = re.compile(r'\\(["\\]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})')


def parse(line: str) -> dict[str, str]:
    """The fields of a logfmt line; every character of it has to belong to one."""
    fields, position = {}, 0
    while position < len(line):
        match = FIELD.match(line, position)
        assert match, line[position:]
        value = match[2]
        if value.startswith('"'):
            value = ESCAPE.sub(lambda escape: unescape(escape[1]), value[1:-1])
        fields[match[1]] = value
        position = match.end()
    return fields


def unescape(text: str) -> str:
    return text if text in ('"', "\\") else chr(int(text[1:], 16))


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Configuring is for a whole process; another test's is a process of its own."""
    root, output, hook = logging.getLogger(), logs._output, sys.unraisablehook
    handlers, level, observers = root.handlers[:], root.level, logs._observers[:]
    yield
    logs._output = output
    logs._observers[:] = observers
    sys.unraisablehook = hook
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in ("mail.log", "mail.debug"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def configured(form: str = "logfmt") -> io.StringIO:
    stream = io.StringIO()
    logs.configure("json" if form == "json" else "logfmt", stream)
    return stream


def lines(stream: io.StringIO) -> list[str]:
    """Without the time, which the test of it looks at."""
    return [re.sub(r"^time=\S+ ", "", line) for line in stream.getvalue().splitlines()]


def test_a_line_reads_as_documented() -> None:
    stream = configured()
    logs.event("auth", result="ok", user="alice@example.com", mech="CRAM-MD5", ip="203.0.113.5", reason=None)
    assert lines(stream) == ['event=auth result=ok user="alice@example.com" mech=CRAM-MD5 ip=203.0.113.5']


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a\r\nevent=auth", r'"a\x0d\x0aevent=auth"'),
        ("\x00\x1b\x7f\x85", r'"\x00\x1b\x7f\x85"'),
        ("\u2028\u2029\u202e\u2066", r'"\u2028\u2029\u202e\u2066"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("bjørn", '"bjørn"'),
        (b"caf\xc3\xa9 \xff", r'"café \udcff"'),
        (25, "25"),
        (0.5, "0.5"),
        (True, "true"),
        (False, "false"),
        (Path("/etc/x"), "/etc/x"),
    ],
)
def test_how_values_are_written(value: object, written: str) -> None:
    stream = configured()
    logs.event("test", value=value)
    assert lines(stream) == [f"event=test value={written}"]


@given(st.text() | st.binary())
def test_any_value_is_one_line_and_reads_back(value: str | bytes) -> None:
    stream = configured()
    logs.event("test", user=value, last="here")
    [line] = lines(stream)
    assert line.isprintable()
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    assert parse(line) == {"event": "test", "user": text, "last": "here"}


@given(st.text() | st.binary() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats())
def test_any_value_is_one_line_of_json_and_reads_back(value: object) -> None:
    stream = configured("json")
    logs.event("test", value=value, none=None)
    [line] = stream.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    fields = json.loads(line, parse_constant=pytest.fail)
    assert fields.keys() == {"time", "event", "value"}
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    assert str(fields["value"]) == str(value)


def test_numbers_and_truth_stay_what_they_are_in_json() -> None:
    stream = configured("json")
    logs.event("message", size=10234, seconds=0.25, tls=True)
    fields = json.loads(stream.getvalue())
    assert (fields["size"], fields["seconds"], fields["tls"]) == (10234, 0.25, True)


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_long_values_are_cut(form: str) -> None:
    stream = configured(form)
    logs.event("test", first="x" * 500, second="y" * 501, third=b"z" * 100_000)
    [line] = stream.getvalue().splitlines()
    fields = json.loads(line) if form == "json" else parse(line)
    assert fields["first"] == "x" * 500
    assert fields["second"] == "y" * 500 + "…"
    assert fields["third"] == "z" * 500 + "…"


def test_a_line_begins_with_the_time() -> None:
    stream = configured()
    logs.event("test")
    assert re.fullmatch(r"time=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z event=test\n", stream.getvalue())


@pytest.mark.parametrize(("is_ours", "has_time"), [(True, False), (False, True)])
def test_the_journal_keeps_the_time_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ours: bool, has_time: bool
) -> None:
    """JOURNAL_STREAM is inherited by processes whose standard error leads elsewhere, so it names the stream."""
    with (tmp_path / "journal").open("w") as stream:
        status = os.fstat(stream.fileno())
        inode = status.st_ino if is_ours else status.st_ino + 1
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{inode}")
        logs.configure("logfmt", stream)
        logs.event("test")
    assert (tmp_path / "journal").read_text().startswith("time=") is has_time


def test_the_default_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("logfmt")
    logs.event("test")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("event=test\n")


def test_configuring_again_replaces_the_log() -> None:
    first, second = configured(), configured()
    logs.event("test")
    assert (first.getvalue(), lines(second)) == ("", ["event=test"])


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    raise RuntimeError("out of\nmilk")


def test_a_failure_is_one_line_with_its_places() -> None:
    stream = configured()
    try:
        deep(20)
    except RuntimeError as error:
        logs.failure("internal-error", error, session="abc")
    [line] = lines(stream)
    fields = parse(line)
    assert (fields["event"], fields["session"]) == ("internal-error", "abc")
    assert fields["error"] == "RuntimeError: out of\nmilk"
    places = fields["at"].split()
    assert len(places) == 5
    assert places[-1] == f"tests/test_logs.py:{deep.__code__.co_firstlineno + 3}"


def test_a_failure_that_was_never_raised_has_no_place() -> None:
    stream = configured()
    logs.failure("internal-error", TimeoutError())
    assert lines(stream) == ['event=internal-error error="TimeoutError: "']


def test_other_libraries_get_a_line_too() -> None:
    stream = configured()
    try:
        raise OSError("no\nluck")
    except OSError:
        logging.getLogger("asyncio").exception("Task %s\nfailed", 7)
    logging.getLogger("asyncio").info("not worth a line")
    [line] = lines(stream)
    fields = parse(line)
    assert fields.pop("at").startswith("tests/test_logs.py:")
    assert fields == {
        "event": "log",
        "level": "ERROR",
        "logger": "asyncio",
        "text": "Task 7\nfailed",
        "error": "OSError: no\nluck",
    }


def test_warnings_get_a_line_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        stream = configured()
        warnings.warn("TLS 1.0 is deprecated", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    [line] = lines(stream)
    assert parse(line)["logger"] == "py.warnings"
    assert "TLS 1.0 is deprecated" in line


@pytest.mark.parametrize("name", ["mail.log", "mail.debug"])
def test_aiosmtpd_has_nothing_to_say(name: str) -> None:
    """It warns of each login with its data, and prints the lines of messages when it debugs."""
    stream = configured()
    logging.getLogger(name).warning("login_data: alice/secret")
    logging.getLogger(name).critical("Subject: secret")
    assert stream.getvalue() == ""


def test_what_can_be_raised_nowhere_is_a_line() -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("a\nb")

    stream = configured()
    Broken()
    [line] = lines(stream)
    assert parse(line) | {"at": ""} == {"event": "exception-ignored", "error": "ValueError: a\nb", "at": ""}


def test_who_subscribes_knows_of_each_event_as_it_was_given() -> None:
    known: list[tuple[str, dict[str, object]]] = []
    logs.subscribe(lambda name, fields: known.append((name, dict(fields))))
    logs.event("auth", user="alice", reason=None)
    logs.event("auth", user="bob")
    assert known == [("auth", {"user": "alice", "reason": None}), ("auth", {"user": "bob"})]
