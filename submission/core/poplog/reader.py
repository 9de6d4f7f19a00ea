"""Lines in, logins out: `Reader(formats, patterns, proxies).feed(line, now)`."""

from __future__ import annotations

import datetime
import re
from collections.abc import Container, Iterable, Mapping

from submission.core.poplog import PopLogin, Protocol
from submission.core.poplog.address import Address, parse_address
from submission.core.poplog.format import Event, Format
from submission.core.poplog.header import Entry, parse_line, parse_stamp, unwrap
from submission.core.poplog.header import MAX_LINE as MAX_MESSAGE
from submission.core.poplog.journal import is_from, parse_entry, parse_json
from submission.core.poplog.pattern import Pattern
from submission.core.poplog.sessions import Report, Sessions

_ANONYMOUS = re.compile(rb"anonymous|guest|anonymous .*|-notset-", re.DOTALL | re.IGNORECASE)
"""Names that prove nothing. Cyrus logs a guest's password after it (imapd.c, cmd_login)."""

_PROTOCOLS: Mapping[bytes, Protocol] = {
    **dict.fromkeys((b"pop3", b"pop", b"110", b"995", b"pass"), "pop3"),
    **dict.fromkeys((b"imap", b"imap4", b"143", b"993", b"login", b"authenticate"), "imap"),
}
"""What group `proto` may hold: a name, a port, or the command that belongs to one of the two."""


class Reader:
    """What is remembered of lines that belong together, and which lines count.

    `proxies` are addresses that never get a grant: our own, those of webmail and of proxies in front of the servers
    whose log this is. A proxy's own log names its client.
    """

    def __init__(
        self, formats: Iterable[Format], patterns: Iterable[Pattern] = (), proxies: Container[Address] = ()
    ) -> None:
        self._formats: dict[bytes, tuple[Format, ...]] = {}
        for format in formats:
            for program in format.programs:
                self._formats[program] = (*self._formats.get(program, ()), format)
        self._writers = {format.name: format.writers() for known in self._formats.values() for format in known}
        self._patterns = tuple(patterns)
        self._proxies = proxies
        self._sessions = Sessions()

    def feed(self, line: bytes | Mapping[str, object], now: float) -> PopLogin | None:
        """The login that a line completes, if it does.

        `line` is a whole line without its end, perhaps of journalctl -o json, or the fields of an entry of the journal;
        `now` is when it came, in seconds since the epoch.
        """
        entry = self._parse(line)
        if entry is None:
            return None
        for format in self._formats.get(entry.program, ()):
            if entry.origin is None or is_from(entry.origin, self._writers[format.name], format.becomes_user):
                login = self._read(format, entry, now)
                if login is not None:
                    return login
        for pattern in self._patterns:
            found = pattern.match(entry) if entry.origin is None else None
            if found is not None:
                return self._login(pattern.name, found.user, found.address, found.proto, entry, now)
        return None

    def _parse(self, line: bytes | Mapping[str, object]) -> Entry | None:
        if isinstance(line, bytes):
            line = line.removesuffix(b"\r")
            if not line.startswith(b"{"):
                return parse_line(line)
            fields = parse_json(line)
        else:
            fields = line
        found = parse_entry(fields) if fields is not None else None
        if found is None or len(found.message) > MAX_MESSAGE:
            return None
        stamp = found.time or b""
        return unwrap(Entry(found.program, found.pid, found.host, found.message, stamp, found.origin))

    def _read(self, format: Format, entry: Entry, now: float) -> PopLogin | None:
        joined = self._join(format, entry, now) if format.steps else None
        if joined is not None:
            user, address = joined
            return self._login(format.name, user, address, format.programs[entry.program] or "pop3", entry, now)
        for pattern in format.logins:
            match = pattern.fullmatch(entry.message)
            if match is None:
                continue
            groups = match.groupdict()
            address_or_none = parse_address(groups["ip"])
            if address_or_none is None:
                return None
            user = groups["user"] + (b"@" + groups["domain"] if groups.get("domain") else b"")
            proto = _PROTOCOLS.get((groups.get("proto") or b"").lower()) or format.programs[entry.program]
            return self._login(format.name, user, address_or_none, proto, entry, now) if proto else None
        return None

    def _join(self, format: Format, entry: Entry, now: float) -> tuple[bytes, Address] | None:
        """User and address, where the line completes a session whose address stood on an earlier one."""
        for event, pattern in format.steps:
            match = pattern.fullmatch(entry.message)
            if match is None:
                continue
            groups = match.groupdict()
            session = groups.get("session") or entry.pid
            address = parse_address(groups["ip"]) if groups.get("ip") else None
            if not session or (event is Event.OPEN and address is None):
                return None
            user = groups.get("user")
            if user and groups.get("domain"):
                user += b"@" + groups["domain"]
            key = (format.name, entry.host, session)
            return self._sessions.take(key, Report(event, address, user, _time(entry, now)), now)
        return None

    def _login(
        self, server: str, user: bytes, address: Address, proto: Protocol, entry: Entry, now: float
    ) -> PopLogin | None:
        if address in self._proxies or _ANONYMOUS.fullmatch(user):
            return None
        return PopLogin(user.decode("utf-8", "backslashreplace"), address, proto, server, _time(entry, now))


def _time(entry: Entry, now: float) -> datetime.datetime | None:
    if isinstance(entry.stamp, datetime.datetime):
        return entry.stamp
    return parse_stamp(entry.stamp, now) if entry.stamp else None
