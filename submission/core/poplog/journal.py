"""Entries of systemd's journal: what their sender says, and what journald knows of him.

A sender chooses SYSLOG_IDENTIFIER, SYSLOG_PID and MESSAGE: any local user can write another program's lines with
logger(1). Fields that begin with an underscore come from the kernel (systemd.journal-fields(7)); from them `is_from`
tells whether a line can be a certain program's.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

MAX_JSON = 1 << 16
"""Octets of an entry as journalctl -o json writes it."""

_USERS = range(1000, 60000)
"""Numbers of people, as Debian and systemd give them (login.defs(5)); daemons have others."""
_WRITABLE = ("/home/", "/tmp/", "/var/", "/srv/", "/dev/", "/run/", "/memfd:")  # noqa: S108 - refused
"""Where somebody who is not the admin could put a program of any name."""
_LOGGED_IN = ("_SYSTEMD_USER_UNIT", "_SYSTEMD_OWNER_UID", "_AUDIT_SESSION")
"""What only processes have that somebody started who is logged in."""
_UNSET = "4294967295"
_COMM = 15
"""Octets that the kernel keeps of a command's name."""


class Origin(NamedTuple):
    """The process that an entry came from, as the kernel sees it. Texts are empty where journald came too late."""

    uid: int
    comm: str
    exe: str
    is_logged_in: bool
    """Whether it belongs to somebody's session, not to a service."""


class JournalEntry(NamedTuple):
    """What of an entry is of interest here."""

    program: bytes
    pid: bytes
    host: bytes
    message: bytes
    time: datetime.datetime | None
    origin: Origin


def parse_json(line: bytes) -> Mapping[str, object] | None:
    """An entry as journalctl -o json writes it on one line; None if it is none."""
    if len(line) > MAX_JSON:
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def parse_entry(fields: Mapping[str, object]) -> JournalEntry | None:
    """The fields of an entry, as texts or, where journalctl -o json has arrays of numbers, octets; None if unusable."""
    message, uid = _octets(fields.get("MESSAGE")), _text(fields.get("_UID"))
    if not message or not (uid.isascii() and uid.isdigit() and len(uid) <= len(_UNSET)):
        return None
    origin = Origin(
        int(uid),
        _text(fields.get("_COMM")),
        _text(fields.get("_EXE")),
        any(_text(fields.get(field)) not in ("", _UNSET) for field in _LOGGED_IN),
    )
    host, program = _octets(fields.get("_HOSTNAME")), _octets(fields.get("SYSLOG_IDENTIFIER"))
    if not program and host and message.startswith(host + b" "):  # nginx repeats the host: nginx.py
        program, message = host, message[len(host) + 1 :]
    if not program:
        return None
    return JournalEntry(program, _octets(fields.get("_PID")), host, message, _time(fields), origin)


def is_from(origin: Origin, writers: Collection[str], becomes_user: bool) -> bool:
    """Whether a process may be one whose executable has one of these names.

    `becomes_user`: whether the program goes on as the user whose mail it serves. A name alone is no proof, since users
    can give it to a program of theirs; so a person's process is believed only if it runs neither from a place that
    people write to nor in a session of theirs.
    """
    folder, _, name = origin.exe.rpartition("/")
    if origin.comm and origin.comm not in {writer[:_COMM] for writer in writers}:
        return False
    if not origin.exe:  # the process was gone when journald looked; only root could have chosen what is left
        return origin.uid == 0 and bool(origin.comm)
    if name.removesuffix(" (deleted)") not in writers or f"{folder}/".startswith(_WRITABLE):
        return False
    return origin.uid not in _USERS or (becomes_user and not origin.is_logged_in)


def _octets(value: object) -> bytes:
    """A field as octets; empty where it is missing or several."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    try:
        return bytes(value) if isinstance(value, list) else b""
    except (ValueError, TypeError):
        return b""


def _text(value: object) -> str:
    return _octets(value).decode("utf-8", "replace")


def _time(fields: Mapping[str, object]) -> datetime.datetime | None:
    """When journald got it."""
    stamp = _text(fields.get("__REALTIME_TIMESTAMP"))
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 17):
        return None
    return datetime.datetime.fromtimestamp(int(stamp) / 1e6, datetime.UTC)
