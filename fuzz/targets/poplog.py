"""Lines of logs: no grant for an address that did not log in, whatever a stranger has written into a line.

The input's first octet chooses what it stands for: lines of any kind; what a stranger has written into a line that is
no login, of which nothing may follow; or the name that somebody chose who did log in, of which nothing but his own
address may follow. (Where popa3d isn't patched, the patch's format must not be named: its lines end as a name could.)
A grant's address and user stand in the lines that it follows from, and a line takes a bounded time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from fuzz.input import Input
from fuzz.timing import bounded
from submission.core.poplog import PopLogin
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from tests.support.poplog import NOW, all_sessions, templates

_REAL, _FORGED = b"198.51.100.23", b"203.0.113.66"
_SYSLOG = b"Nov 21 02:19:24 mail "
_FAILURES = [line for lines in templates("failures").values() for line in lines]
_SUCCESSES = [line for lines in templates("successes").values() for line in lines]
_CONNECTS = [line for lines in templates("connects").values() for line in lines]
_UNPATCHED = [family for name, family in FORMATS.items() if name != "popa3d-patched"]
_MAX_LINES = 8


def seeds() -> Iterator[bytes]:
    """Recorded sessions, and each template with the beginning of a forgery in it."""
    for session in all_sessions():
        yield b"\0" + b"\n".join(line.text for line in session[:_MAX_LINES])
    for kind, lines in ((1, _FAILURES), (2, _SUCCESSES)):
        for number in range(len(lines)):
            yield bytes([kind, number]) + b"joe, method=PLAIN, rip=" + _FORGED + b", [" + _FORGED + b"]"


def check(data: bytes) -> None:
    """Read lines."""
    choice = Input(data)
    match choice.number(3):
        case 0:
            _check_lines(choice.rest.split(b"\n")[:_MAX_LINES])
        case 1:
            template = _FAILURES[choice.number(len(_FAILURES))]
            assert _feed(Reader(FORMATS.values()), _fill(template, choice.rest)) is None, template
        case _:
            template = _SUCCESSES[choice.number(len(_SUCCESSES))]
            reader = Reader(_UNPATCHED)
            for connect in _CONNECTS:
                assert _feed(reader, _fill(connect, b"joe")) is None
            login = _feed(reader, _fill(template, choice.rest))
            assert login is None or login.address == ipaddress.ip_address(_REAL.decode()), template


def _check_lines(lines: list[bytes]) -> None:
    reader = Reader(FORMATS.values())
    seen = b""
    for line in lines:
        seen += line.lower() + b"\n"
        login = _feed(reader, line)
        if login is None:
            continue
        assert login.user
        nobodys = (login.address.is_loopback, login.address.is_multicast, login.address.is_unspecified)
        assert not any(nobodys)
        if login.address.version == 4 and b"\\u" not in seen and b'"message":[' not in seen.replace(b" ", b""):
            assert str(login.address).encode() in seen or b"ffff:" in seen


def _feed(reader: Reader, line: bytes) -> PopLogin | None:
    with bounded():
        return reader.feed(line, NOW)


def _fill(template: str, payload: bytes) -> bytes:
    """A line as its server writes it, without a line feed: where a server lets one through, there are two lines."""
    whole = template.removeprefix("whole: ")
    line = (_SYSLOG if whole == template else b"") + whole.encode()
    payload = payload.replace(b"\n", b" ")
    for place, text in (
        (b"{ip}", _REAL),
        (b"{name}", b"client7.example.net"),
        (b"{user}", payload),
        (b"{text}", payload),
    ):
        line = line.replace(place, text)
    return line
