"""Sessions that are joined of several lines: when in doubt, there is none."""

import datetime
import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from submission.core.poplog.format import Event
from submission.core.poplog.sessions import LIFETIME, MAX_SESSIONS, Report, Sessions
from tests.support.poplog import NOW, everything, shown

KEY = ("popa3d", b"mail", b"30")
HERE = ipaddress.ip_address("192.0.2.50")
THERE = ipaddress.ip_address("198.51.100.7")
NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)


def report(event: Event, address: ipaddress.IPv4Address | None = None, user: bytes | None = None) -> Report:
    return Report(event, address, user, None)


OPEN = report(Event.OPEN, HERE)
JOE = report(Event.LOGIN, user=b"joe")
ANNA = report(Event.LOGIN, user=b"anna")


def test_a_session() -> None:
    sessions = Sessions()
    assert sessions.take(KEY, OPEN, NOW) is None
    assert sessions.take(KEY, JOE, NOW + LIFETIME) == (b"joe", HERE)
    assert sessions.take(KEY, JOE, NOW + LIFETIME) == (b"joe", HERE)


def test_the_end_of_a_session() -> None:
    sessions = Sessions()
    sessions.take(KEY, OPEN, NOW)
    sessions.take(KEY, report(Event.CLOSE), NOW)
    assert sessions.take(KEY, JOE, NOW) is None
    assert len(sessions) == 0


def test_a_name_from_a_line_of_its_own() -> None:
    sessions = Sessions()
    sessions.take(KEY, OPEN, NOW)
    assert sessions.take(KEY, report(Event.LOGIN), NOW) is None
    sessions.take(KEY, OPEN, NOW)
    sessions.take(KEY, report(Event.NAME, user=b"anna"), NOW)
    sessions.take(KEY, report(Event.NAME, user=b"joe"), NOW)
    assert sessions.take(KEY, report(Event.LOGIN), NOW) == (b"joe", HERE)


def test_no_line_before() -> None:
    assert Sessions().take(KEY, JOE, NOW) is None


def test_another_host_or_process() -> None:
    sessions = Sessions()
    sessions.take(KEY, OPEN, NOW)
    for other in (("popa3d", b"mail", b"31"), ("popa3d", b"mail2", b"30"), ("mailutils", b"mail", b"30")):
        assert sessions.take(other, JOE, NOW) is None


def test_too_old_by_our_clock() -> None:
    sessions = Sessions()
    sessions.take(KEY, OPEN, NOW)
    assert sessions.take(KEY, JOE, NOW + LIFETIME + 1) is None
    sessions.take(KEY, OPEN, NOW)
    assert sessions.take(KEY, JOE, NOW - 1) is None


def test_too_old_by_the_logs_clock() -> None:
    """When a log of hours is read at once, all lines come now."""
    sessions = Sessions()
    for seconds, joined in ((LIFETIME, (b"joe", HERE)), (LIFETIME + 1, None), (-2, None)):
        sessions.take(KEY, OPEN._replace(time=NOON), NOW)
        later = JOE._replace(time=NOON + datetime.timedelta(seconds=seconds))
        assert sessions.take(KEY, later, NOW) == joined
        sessions.take(KEY, report(Event.CLOSE), NOW)


def test_two_addresses() -> None:
    """Of a process number that was used again, or of a line that isn't what it looks like."""
    sessions = Sessions()
    sessions.take(KEY, OPEN, NOW)
    sessions.take(KEY, OPEN._replace(address=THERE), NOW)
    assert sessions.take(KEY, JOE, NOW) is None
    sessions.take(KEY, OPEN, NOW)
    assert sessions.take(KEY, JOE, NOW) is None


def test_the_same_address_twice() -> None:
    """tcpd's line, and the server's own."""
    sessions = Sessions()
    sessions.take(KEY, OPEN, NOW)
    sessions.take(KEY, OPEN, NOW)
    assert sessions.take(KEY, JOE, NOW) == (b"joe", HERE)


def test_two_users() -> None:
    sessions = Sessions()
    sessions.take(KEY, OPEN, NOW)
    assert sessions.take(KEY, JOE, NOW) == (b"joe", HERE)
    assert sessions.take(KEY, ANNA, NOW) is None
    assert sessions.take(KEY, JOE, NOW) is None


def test_bounds() -> None:
    sessions = Sessions()
    for number in range(MAX_SESSIONS + 5):
        sessions.take(("popa3d", b"mail", b"%d" % number), OPEN, NOW)
    assert len(sessions) == MAX_SESSIONS
    assert sessions.take(("popa3d", b"mail", b"4"), JOE, NOW) is None
    assert sessions.take(("popa3d", b"mail", b"5"), JOE, NOW) == (b"joe", HERE)
    sessions.take(KEY, OPEN, NOW + LIFETIME + 1)
    assert len(sessions) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"30", b"31"]),
            st.sampled_from(list(Event)),
            st.sampled_from([HERE, THERE]),
            st.sampled_from([b"joe", b"anna", None]),
            st.integers(0, 200),
        ),
        max_size=30,
    )
)
def test_a_login_has_the_address_of_the_last_line_that_named_one(
    steps: list[tuple[bytes, Event, ipaddress.IPv4Address, bytes | None, int]],
) -> None:
    sessions, now = Sessions(), NOW
    opened: dict[bytes, tuple[float, ipaddress.IPv4Address]] = {}
    for pid, event, address, user, wait in steps:
        now += wait
        if event is Event.OPEN:
            opened[pid] = now, address
        found = sessions.take(("x", b"", pid), Report(event, address if event is Event.OPEN else None, user, None), now)
        if found is not None:
            since, last = opened[pid]
            assert event is Event.LOGIN
            assert found[1] == last
            assert now - since <= LIFETIME


def test_interleaved() -> None:
    reader = everything()
    head = b"Nov 21 02:59:00 mail popa3d"
    lines = {
        b"[30]: Session from 192.0.2.50": "-",
        b"[31]: Session from 198.51.100.7": "-",
        b"[32]: Authentication passed for eve": "-",
        b"[31]: Authentication passed for anna": "anna 198.51.100.7 pop3",
        b"[30]: Authentication passed for joe": "joe 192.0.2.50 pop3",
        b": Session from 192.0.2.50": "-",
        b": Authentication passed for joe": "-",
    }
    assert {line: shown(reader.feed(head + line, NOW)) for line in lines} == lines


def test_a_failure_ends_a_session_of_a_server_that_exits() -> None:
    reader = everything()
    head = b"Nov 21 02:59:00 mail popa3d[30]: "
    for line in (b"Session from 192.0.2.50", b"Authentication failed for joe", b"Authentication passed for joe"):
        assert reader.feed(head + line, NOW) is None
