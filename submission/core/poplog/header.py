"""The header of a log line: when, on which machine, by which program and process; what follows is the message.

Known are what syslogd, rsyslog, syslog-ng, busybox, FreeBSD and Solaris write into files: the time as RFC 3164 or ISO
8601 has it, with or without `<PRI>`, the host's name and `facility.severity`, and RFC 5424. A line with none of these
is a server's own: its program is empty, and all of it is the message.

Everything is anchored at the line's beginning, where only the syslog daemon writes. The name of a program has no blank
and no colon, so nothing in a message can take its place.
"""

from __future__ import annotations

import datetime
import functools
import re
from typing import NamedTuple

from submission.core.poplog.journal import Origin

MAX_LINE = 1000
"""Octets of a line. Old syslog daemons cut at 1024: what may have been cut is no evidence, its end was the server's."""

MAX_BUSYBOX = 220
"""Octets of a line from the program's name on, where busybox's syslogd wrote it: it cuts at 256 with PRI and time."""

_TIME = rb"[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
_STAMP = (
    rb"(?P<stamp>[A-Z][a-z]{2} [ 0-3][0-9] " + _TIME + rb"(?:\.[0-9]{1,9})?"
    rb"|[0-9]{4}-[01][0-9]-[0-3][0-9][T ]" + _TIME + rb"(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)"
)
_HOST = rb"[0-9A-Za-z._:@/-]{0,254}[0-9A-Za-z._@/-]"
"""Narrow: dovecot's own file has `imap(USER)` here, and what follows a blank in a name must not be a program's."""
_FACILITY = rb"(?:kern|user|mail|daemon|auth|authpriv|syslog|lpr|news|uucp|cron|ftp|local[0-7])"
_SEVERITY = rb"(?:emerg|alert|crit|err|error|warn|warning|notice|info|debug)"
_CLASSIC = re.compile(
    rb"(?:<[0-9]{1,3}>)?" + _STAMP + rb" (?:<[a-z0-9]{1,8}\.[a-z0-9]{1,7}> )?"  # <mail.info>, FreeBSD's with -v
    rb"(?:(?P<host>" + _HOST + rb") (?:(?P=host) (?=nginx: ))?)?"  # nginx repeats the host: nginx.py
    rb"(?P<busybox>" + _FACILITY + rb"\." + _SEVERITY + rb" )?"
    rb"(?P<program>[^\s\[\]:]{1,128})(?:\[(?P<pid>[0-9]{1,10})\])?: ?(?P<message>.*)",
    re.DOTALL,
)
_MODERN = re.compile(  # RFC 5424 section 6
    rb"<[0-9]{1,3}>1 " + _STAMP + rb" (?P<host>[!-~]{1,255}) (?P<program>[!-~]{1,48}) (?:-|(?P<pid>[!-~]{1,128}))"
    rb' [!-~]{1,32} (?:-|(?:\[(?:[^\]"]|"(?:[^"\\\]]|\\.)*")*\])+)(?: +(?:\xef\xbb\xbf)? *(?P<message>.*))?',
    re.DOTALL,
)
_MULTILOG = re.compile(rb"@[0-9a-f]{24} ")  # TAI64N, by daemontools' multilog
_SOLARIS = re.compile(rb"\[ID [0-9]{1,10} [a-z0-9]{1,10}\.[a-z]{1,10}\] ")
_REPEATED = re.compile(rb"message repeated [0-9]{1,10} times: \[ ?(?P<message>.*)\]", re.DOTALL)  # rsyslog


class Entry(NamedTuple):
    """A line taken apart, or an entry of the journal."""

    program: bytes
    pid: bytes
    """Empty where the line has none, or may not be joined with others of the process."""
    host: bytes
    message: bytes
    stamp: bytes | datetime.datetime
    origin: Origin | None = None
    """Who the journal says it came from; None where only text can tell."""


def parse_line(line: bytes) -> Entry | None:
    """Take a line apart, without its end; None where it is too long or empty."""
    if not line or len(line) > MAX_LINE:
        return None
    match = _CLASSIC.match(line)
    if match is None:
        match = _MODERN.match(line)
    elif match["busybox"] and len(line) - match.start("program") > MAX_BUSYBOX:
        return None
    if match is None:
        return Entry(b"", b"", b"", line[26:] if _MULTILOG.match(line) else line, b"")
    stamp, host, program, pid, message = match.group("stamp", "host", "program", "pid", "message")
    return unwrap(Entry(program, pid or b"", host or b"", message or b"", stamp))


def unwrap(entry: Entry) -> Entry:
    """Without what syslog daemons put before or around the message of the program."""
    message = entry.message
    if message.startswith(b"nginx: ") and entry.program == entry.host:
        return entry._replace(program=b"nginx", message=message[7:])
    if message.startswith(b"[ID "):
        return entry._replace(message=_SOLARIS.sub(b"", message, count=1))
    if message.startswith(b"message repeated "):
        repeated = _REPEATED.fullmatch(message)
        if repeated is not None:  # without its place among the other lines, so it belongs to no session
            return entry._replace(message=repeated["message"], pid=b"")
    return entry


_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


_DAY = 86400
_LAST_DAY = 2900000
"""Days since the epoch in the year 9909, near the last that datetime knows."""


def parse_stamp(stamp: bytes, now: float) -> datetime.datetime | None:
    """The time that a header tells, naive if it says no zone; None if there is no such time.

    `now`, seconds since the epoch, helps where there is no year: the one that brings the stamp closest is taken.
    """
    return _parse_stamp(stamp.decode("ascii"), min(max(int(now // _DAY), 0), _LAST_DAY))


@functools.lru_cache(maxsize=256)  # a busy second has many lines
def _parse_stamp(text: str, day: int) -> datetime.datetime | None:
    if text[:4].isdigit():
        try:
            return datetime.datetime.fromisoformat(_without_leap(text, 17))
        except ValueError:
            return None
    today = datetime.datetime.fromordinal(datetime.date(1970, 1, 1).toordinal() + day)
    times = (_in_year(_without_leap(text, 13), year) for year in (today.year - 1, today.year, today.year + 1))
    return min((time for time in times if time), key=lambda time: abs(time - today), default=None)


def _without_leap(text: str, position: int) -> str:
    """A leap second as the one before it, for Python knows none."""
    return text[:position] + "59" + text[position + 2 :] if text[position : position + 2] == "60" else text


def _in_year(text: str, year: int) -> datetime.datetime | None:
    month = _MONTHS.get(text[:3].encode(), 0)
    try:
        return datetime.datetime.fromisoformat(f"{year:04}-{month:02}-{text[4:6].replace(' ', '0')}T{text[7:15]}")
    except ValueError:
        return None
