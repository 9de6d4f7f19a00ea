"""What holds of any line, and what the reader decides beyond the text."""

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.poplog.header import MAX_LINE
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from tests.support.poplog import NOW, all_sessions, everything, shown

HEAD = b"Nov 21 02:19:24 mail "
DOVECOT = b"dovecot: pop3-login: Login: user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.1, mpid=36, session=<b>"
RECORDED = [line.text for session in all_sessions() for line in session]
PROGRAMS = sorted({program for family in FORMATS.values() for program in family.programs})


def test_a_login() -> None:
    login = everything().feed(HEAD + DOVECOT % (b"joe", b"::ffff:192.0.2.50"), NOW)
    assert login is not None
    assert login.server == "dovecot"
    assert login.address == ipaddress.ip_address("192.0.2.50")
    assert login.time is not None
    assert login.time.isoformat() == "2026-11-21T02:19:24"


def test_proxies_get_nothing() -> None:
    webmail = ipaddress.ip_address("192.0.2.50")
    reader = Reader(FORMATS.values(), proxies={webmail})
    assert reader.feed(HEAD + DOVECOT % (b"joe", b"192.0.2.50"), NOW) is None
    assert reader.feed(HEAD + DOVECOT % (b"joe", b"::ffff:192.0.2.50"), NOW) is None
    assert reader.feed(HEAD + DOVECOT % (b"joe", b"192.0.2.51"), NOW) is not None


@pytest.mark.parametrize("user", [b"anonymous", b"Anonymous", b"anonymous joe", b"guest", b""])
def test_nobody_has_proved_nothing(user: bytes) -> None:
    assert everything().feed(HEAD + DOVECOT % (user, b"192.0.2.50"), NOW) is None


def test_names_that_are_no_utf_8_and_control_characters() -> None:
    assert shown(everything().feed(HEAD + DOVECOT % (b"j\xf6rg", b"192.0.2.50"), NOW)) == "j\\xf6rg 192.0.2.50 pop3"
    assert shown(everything().feed(HEAD + DOVECOT % ("jörg".encode(), b"192.0.2.50"), NOW)) == "jörg 192.0.2.50 pop3"


def test_lines_of_windows() -> None:
    assert everything().feed(HEAD + DOVECOT % (b"joe", b"192.0.2.50") + b"\r", NOW) is not None


@given(st.binary(max_size=300))
def test_any_octets(line: bytes) -> None:
    assert everything().feed(line, NOW) is None


@given(program=st.sampled_from(PROGRAMS), message=st.binary(max_size=100), pid=st.sampled_from([b"", b"[12]"]))
def test_any_message(program: bytes, message: bytes, pid: bytes) -> None:
    assert everything().feed(HEAD + program + pid + b": " + message, NOW) is None


@given(
    line=st.sampled_from(RECORDED),
    position=st.floats(0, 1),
    length=st.integers(0, 30),
    octets=st.binary(max_size=10),
)
def test_damaged_lines(line: bytes, position: float, length: int, octets: bytes) -> None:
    place = int(position * len(line))
    everything().feed(line[:place] + octets + line[place + length :], NOW)


HOSTILE = [
    b" ",
    b"a",
    b"] [",
    b" host=[1.2.3.4]",
    b"' logged in with mailbox `/",
    b" logged in with mailbox /x from 1.2.3.4",
    b'" at (x) 1.2.3.4',
    b">, method=PLAIN, rip=1.2.3.4",
    b"): started proxying to x: user=<",
    b"(1.2.3.4): began session for `",
    b" [1.2.3.4] from x [1.2.3.4]",
    b' authentication_id="x" server="',
    b" [1.2.3.4] x ",
    b"@x:1.2.3.4",
    b") failed: ",
    b": -ERR ",
    b"' of 'x' logged in",
]


@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_hostile_lines_take_no_time(piece: bytes) -> None:
    """As long as a line may be; what grew by more than the square of it would take seconds."""
    reader = everything()
    begin = time.process_time()
    count = 0
    for line in RECORDED:
        for mark in (b"joe", b"anna"):
            head, found, tail = line.partition(mark)
            room = MAX_LINE - len(head) - len(tail)
            if found and room > 0:
                reader.feed(head + (piece * room)[:room] + tail, NOW)
                count += 1
    assert count > 200
    assert (time.process_time() - begin) / count < 0.002
