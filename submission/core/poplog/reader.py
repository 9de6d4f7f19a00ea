"""Lines in, logins out: `Reader(formats, patterns, proxies).feed(line, now)`."""

from __future__ import annotations

import datetime
import re
from collections.abc import Container, Iterable, Mapping

from submission.core.poplog import PopLogin, Protocol
from submission.core.poplog.address import Address, parse_address
from submission.core.poplog.format import Event, Format
from submission.core.poplog.header import MAX_LINE, Entry, parse_line, parse_stamp, unwrap
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
        self._families: dict[bytes, tuple[Format, ...]] = {}
        for family in formats:
            for program in family.programs:
                self._families[program] = (*self._families.get(program, ()), family)
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
        for family in self._families.get(entry.program, ()):
            if entry.origin is None or is_from(entry.origin, family.writers, family.becomes_user):
                login = self._read(family, entry, now)
                if login is not None:
                    return login
        for pattern in self._patterns:
            found = pattern.match(entry)
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
        if found is None or len(found.message) > MAX_LINE:
            return None
        return unwrap(
            Entry(found.program, found.pid, found.host, found.message, found.time or b"", origin=found.origin)
        )

    def _read(self, family: Format, entry: Entry, now: float) -> PopLogin | None:
        for event, pattern in family.steps:
            match = pattern.fullmatch(entry.message)
            if match is None:
                continue
            groups = match.groupdict()
            key = (family.name, entry.host, groups.get("session") or entry.pid)
            if key[2] and (event is Event.OPEN or key in self._sessions):
                return self._join(family, key, event, groups, entry, now)
            break
        for pattern in family.logins if entry.program else family.lines:
            match = pattern.fullmatch(entry.message)
            if match is not None:
                return self._single(family, match.groupdict(), entry, now)
        return None

    def _single(self, family: Format, groups: Mapping[str, bytes | None], entry: Entry, now: float) -> PopLogin | None:
        """The login that one line tells of by itself."""
        address, user = parse_address(groups["ip"] or b""), _user(groups)
        proto = _PROTOCOLS.get((groups.get("proto") or b"").lower()) or family.programs[entry.program]
        if address is None or user is None or proto is None:
            return None
        return self._login(family.name, user, address, proto, entry, now)

    def _join(
        self,
        family: Format,
        key: tuple[str, bytes, bytes],
        event: Event,
        groups: Mapping[str, bytes | None],
        entry: Entry,
        now: float,
    ) -> PopLogin | None:
        """The login of a session whose address stood on an earlier line, if this line completes it."""
        text = groups.get("ip")
        report = Report(event, parse_address(text) if text else None, _user(groups), _time(entry, now))
        joined = self._sessions.take(key, report, now)
        proto = family.programs[entry.program]
        if joined is None or proto is None:
            return None
        user, address = joined
        return self._login(family.name, user, address, proto, entry, now)

    def _login(
        self, server: str, user: bytes, address: Address, proto: Protocol, entry: Entry, now: float
    ) -> PopLogin | None:
        if address in self._proxies or _ANONYMOUS.fullmatch(user):
            return None
        return PopLogin(user.decode("utf-8", "backslashreplace"), address, proto, server, _time(entry, now))


def _user(groups: Mapping[str, bytes | None]) -> bytes | None:
    """The name, with the domain where that is logged apart from it."""
    user, domain = groups.get("user"), groups.get("domain")
    return user + b"@" + domain if user and domain else user


def _time(entry: Entry, now: float) -> datetime.datetime | None:
    if isinstance(entry.stamp, datetime.datetime):
        return entry.stamp
    return parse_stamp(entry.stamp, now) if entry.stamp else None
