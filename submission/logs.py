r"""The log: one line an event, `event=auth result=ok user="alice@example.com" ...`, or the same as JSON.

    configure("logfmt")                       once, at the start of a process
    event("auth", result="ok", user=name)     a field that is None is left out
    record("auth", {"result": "ok"})          the same
    warning("overload", ip=address)           likewise, of something that an admin may have to do something about
    failure("internal-error", error)          class, text and place of an exception, on one line
    subscribe(observer)                       observer(name, fields) is called with each event and warning

Lines go to standard error, each in one piece, or to syslogd (system_log.py). Whatever another library says through the
standard library's logging becomes one line of the same form, `event=log`; ours don't take that way, which costs as much
as a line. They begin with `time=`, unless where they go keeps the time itself: syslogd, or the journal. Only syslogd is
told which of the three kinds a line is.

A value comes from anybody. It is cut at MAX_VALUE characters. In logfmt it stands in double quotes if it is empty or
holds anything but visible ASCII without quotes, `=` and backslashes; `user` always does, so that a pattern such as
fail2ban's finds its end. Within quotes `"` and `\` get a backslash, and what has no shape of its own (controls, line
separators, bidirectional overrides, undecodable octets) is written as \xNN, \uNNNN or \UNNNNNNNN. Keys are written
as they are: they are names in our code.

Writing blocks as long as the reader of standard error doesn't read; syslogd is not waited for. What must not be in a
log at all, no function here can tell: callers never pass a secret.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol, TextIO

from submission.system_log import Severity, SystemLog

MAX_VALUE = 500
"""Characters of a value; more are cut off and `…` takes their place."""

MAX_FRAMES = 5
"""Places that are named of where an exception came from, the innermost last."""

_BARE = re.compile(r"[!#-<>-\[\]-~]+")
_ESCAPED = re.compile(r'["\\]|[^ -~]')
_QUOTED_KEYS = frozenset({"user"})
_NUMBERS = (int, float)

# aiosmtpd warns of each login with its data, and prints the lines of messages when it debugs.
_TELLTALES = ("mail.log", "mail.debug")


def configure(form: Literal["logfmt", "json"], stream: TextIO | None = None, *, facility: str = "") -> None:
    """Send all logging of the process to `stream`, standard error unless told, in this form.

    With a `facility`, such as "mail", it goes to syslogd instead.
    """
    global _output  # noqa: PLW0603 - a process has one log
    _output = _Output(form, stream or sys.stderr, facility)
    root = logging.getLogger()
    root.handlers[:] = [_Foreign()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.unraisablehook = _unraisable
    for name in _TELLTALES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def event(name: str, /, **fields: object) -> None:
    """Log that something happened. `name` and the keys are fixed words of ours."""
    _tell(Severity.NOTICE, name, fields)


def record(name: str, fields: Mapping[str, object]) -> None:
    """Log an event, as `event` does. It is for what is logged most: fields that are a dictionary already cost half."""
    _tell(Severity.NOTICE, name, fields)


def warning(name: str, /, **fields: object) -> None:
    """Log that something is not as it should be: mail goes on, but somebody should look."""
    _tell(Severity.WARNING, name, fields)


def subscribe(observer: Callable[[str, Mapping[str, object]], None]) -> None:
    """Let somebody know of each event and warning from now on: in the thread that logs it, with the fields as given.

    It must be quick, and must not raise.
    """
    _observers.append(observer)


def failure(name: str, error: BaseException, /, **fields: object) -> None:
    """Log an exception that nobody expected, without its traceback but with the places it came through."""
    _output.write(Severity.ERROR, name, fields | _describe(error))


def flush() -> None:
    """Send on what is held back because syslogd was busy; to be called from time to time, and in the end."""
    _output.flush()


def _tell(severity: Severity, name: str, fields: Mapping[str, object]) -> None:
    _output.write(severity, name, fields)
    for observe in _observers:
        observe(name, fields)


class _Target(Protocol):
    """Where lines go, each in one piece. Several threads may write."""

    keeps_time: bool

    def write(self, line: str, severity: Severity) -> None: ...

    def flush(self) -> None: ...


class _Stream:
    """Standard error, or another stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.keeps_time = _is_journal(stream)

    def write(self, line: str, _severity: Severity) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more: mail goes on without a log
            pass

    def flush(self) -> None:
        """Each line is flushed."""


class _Output:
    """The log: a form, and where it goes."""

    def __init__(self, form: Literal["logfmt", "json"], stream: TextIO, facility: str = "") -> None:
        self._form = _json if form == "json" else _logfmt
        self._target: _Target = SystemLog(facility, self._tell_lost) if facility else _Stream(stream)
        self.flush = self._target.flush

    def _tell_lost(self, lines: int) -> str:
        return self._form("", "log-lost", {"lines": lines})

    def write(self, severity: Severity, name: str, fields: Mapping[str, object]) -> None:
        moment = "" if self._target.keeps_time else _time()
        self._target.write(self._form(moment, name, fields), severity)


class _Foreign(logging.Handler):
    """Takes what another library logs through the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        severity = Severity.ERROR if record.levelno >= logging.ERROR else Severity.WARNING
        _output.write(severity, "log", _foreign(record))


def _time() -> str:
    now = time.time()
    second = int(now)
    return f"{_second(second)}.{int((now - second) * 1000):03d}Z"


@functools.lru_cache(maxsize=1)  # many lines fall into one second
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _foreign(record: logging.LogRecord) -> dict[str, object]:
    """The fields of what another library logged."""
    fields: dict[str, object] = {"level": record.levelname, "logger": record.name}
    fields["text"] = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    return fields | _describe(error) if error else fields


def _logfmt(moment: str, name: str, fields: Mapping[str, object]) -> str:
    words = [
        f"{key}={value}" if type(value) in _NUMBERS else _word(key, value if type(value) is str else _text(value))
        for key, value in fields.items()
        if value is not None
    ]
    return " ".join([f"time={moment} event={name}" if moment else f"event={name}", *words])


@functools.lru_cache(maxsize=256)  # a client's values come line after line
def _word(key: str, text: str) -> str:
    text = _cut(text)
    if key not in _QUOTED_KEYS and _BARE.fullmatch(text):
        return f"{key}={text}"
    if not (text.isascii() and text.isprintable()) or '"' in text or "\\" in text:
        text = _ESCAPED.sub(_escape, text)
    return f'{key}="{text}"'


def _json(moment: str, name: str, fields: Mapping[str, object]) -> str:
    start = {"time": moment, "event": name} if moment else {"event": name}
    line = json.dumps(start | {key: _plain(value) for key, value in fields.items() if value is not None})
    return line.replace("\x7f", "\\u007f")  # the one control character that json.dumps lets through


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain(value: object) -> object:
    """The value as JSON can hold it."""
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_number else _cut(_text(value))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Log in a line what Python can raise nowhere, and would print a page of.

    Clients can bring it about: with the name of a server that isn't ASCII, of which the ssl module complains so.
    """
    if unraisable.exc_value is not None:
        failure("exception-ignored", unraisable.exc_value)


def _describe(error: BaseException) -> dict[str, object]:
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    places = (f"{path.parent.name}/{path.name}:{line}" for path, line in frames[-MAX_FRAMES:])
    return {"error": f"{type(error).__name__}: {error}", "at": " ".join(places) or None}


def _is_journal(stream: TextIO) -> bool:
    """Whether systemd says that this very stream leads to its journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # not a file at all, such as io.StringIO
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


_output = _Output("logfmt", sys.stderr)
_observers: list[Callable[[str, Mapping[str, object]], None]] = []
