"""Entries of the journal: what they say, and who may have said it."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from submission.core.poplog.journal import MAX_JSON, is_from, parse_entry, parse_json
from tests.support.poplog import NOW, everything, shown

DOVECOT = {
    "MESSAGE": "pop3-login: Login: user=<joe>, method=PLAIN, rip=192.0.2.50, lip=192.0.2.1, mpid=34, session=<tU1>",
    "SYSLOG_IDENTIFIER": "dovecot",
    "_HOSTNAME": "mail",
    "_PID": "29",
    "_UID": "0",
    "_COMM": "log",
    "_EXE": "/usr/lib/dovecot/log",
    "__REALTIME_TIMESTAMP": "1795227900731907",
}
UW = {
    **DOVECOT,
    "MESSAGE": "Login user=joe host=[192.0.2.50] nmsgs=1/1",
    "SYSLOG_IDENTIFIER": "ipop3d",
    "_UID": "1000",
    "_COMM": "ipop3d",
    "_EXE": "/usr/sbin/ipop3d",
}
LOGIN = "joe 192.0.2.50 pop3"


def read(fields: Mapping[str, object]) -> str:
    """By way of a follower of the journal, and by that of journalctl -o json."""
    text = json.dumps(fields).encode()
    told = shown(everything().feed(fields, NOW))
    assert shown(everything().feed(text, NOW)) == told
    return told


def test_logins() -> None:
    assert read(DOVECOT) == LOGIN
    assert read(UW) == LOGIN
    login = everything().feed(DOVECOT, NOW)
    assert login is not None
    assert login.time is not None
    assert login.time.timestamp() == pytest.approx(1795227900.731907)


def test_octets() -> None:
    message = b"pop3-login: Login: user=<j\xf6rg>, method=PLAIN, rip=192.0.2.50, lip=192.0.2.1"
    assert read({**DOVECOT, "MESSAGE": list(message)}) == "j\\xf6rg 192.0.2.50 pop3"
    assert shown(everything().feed({**DOVECOT, "MESSAGE": message}, NOW)) == "j\\xf6rg 192.0.2.50 pop3"


@pytest.mark.parametrize(
    "change",
    [
        {"_UID": "1013", "_COMM": "logger", "_EXE": "/usr/bin/logger"},
        {"_COMM": "logger", "_EXE": "/usr/bin/logger"},
        {"_UID": "1013"},
        {"_UID": "1013", "_EXE": "/home/eve/log"},
        {"_UID": "1013", "_EXE": None},
        {"_UID": "33", "_EXE": "/var/www/log"},
        {"_UID": "33", "_EXE": None},
        {"_COMM": None, "_EXE": None},
        {"_UID": None},
        {"_UID": "x"},
        {"_UID": "-1"},
        {"_UID": ["0", "0"]},
        {"_EXE": "/usr/bin/logger"},
        {"_COMM": "logger"},
        {"SYSLOG_IDENTIFIER": "sendmail"},
        {"SYSLOG_IDENTIFIER": None},
        {"MESSAGE": None},
        {"MESSAGE": ""},
        {"MESSAGE": [256]},
        {"MESSAGE": ["x"]},
        {"MESSAGE": {"x": 1}},
        {"MESSAGE": "x" * 5000},
    ],
)
def test_what_may_come_from_somebody_else(change: dict[str, object]) -> None:
    assert read({key: value for key, value in {**DOVECOT, **change}.items() if value is not None}) == "-"


@pytest.mark.parametrize(
    "change",
    [
        {"_EXE": "/home/eve/ipop3d"},
        {"_EXE": "/tmp/ipop3d"},
        {"_EXE": "/memfd:ipop3d (deleted)"},
        {"_SYSTEMD_USER_UNIT": "x.service"},
        {"_SYSTEMD_OWNER_UID": "1000"},
        {"_AUDIT_SESSION": "7"},
    ],
)
def test_a_server_that_became_a_user_is_no_program_of_his(change: dict[str, object]) -> None:
    assert read({**UW, **change}) == "-"


def test_an_updated_server_goes_on() -> None:
    assert read({**DOVECOT, "_EXE": "/usr/lib/dovecot/log (deleted)"}) == LOGIN
    assert read({**UW, "_AUDIT_SESSION": "4294967295"}) == LOGIN


def test_nginx_repeats_the_host() -> None:
    fields: dict[str, object] = {
        **DOVECOT,
        "MESSAGE": "mail nginx: 2026/11/21 03:23:30 [info] 38#38: *5 client logged in, client: 192.0.2.50, "
        'server: 192.0.2.1:110, login: "joe", upstream: 192.0.2.1:11110',
        "_COMM": "nginx",
        "_EXE": "/usr/sbin/nginx",
        "_UID": "33",
    }
    del fields["SYSLOG_IDENTIFIER"]
    assert read(fields) == LOGIN


def test_sessions_are_joined_by_the_number_that_the_kernel_knows() -> None:
    popa3d = {**DOVECOT, "SYSLOG_IDENTIFIER": "popa3d", "_COMM": "popa3d", "_EXE": "/usr/sbin/popa3d"}
    reader = everything()
    connect = {**popa3d, "MESSAGE": "Session from 192.0.2.50", "SYSLOG_PID": "30", "_PID": "30"}
    login = {**popa3d, "MESSAGE": "Authentication passed for joe", "SYSLOG_PID": "30"}
    assert reader.feed(connect, NOW) is None
    assert reader.feed({**login, "_PID": "31"}, NOW) is None
    assert shown(reader.feed({**login, "_PID": "30"}, NOW)) == LOGIN


@pytest.mark.parametrize("line", [b"{", b"{}", b"{]", b'{"a":' * 5000, b"[" * 60000, b'{"MESSAGE":"x"}', b"{\xff}"])
def test_no_entries(line: bytes) -> None:
    assert everything().feed(line, NOW) is None


def test_length() -> None:
    assert parse_json(b'{"a":"%s"}' % (b"x" * (MAX_JSON - 8))) is not None
    assert parse_json(b'{"a":"%s"}' % (b"x" * (MAX_JSON - 7))) is None


VALUES = st.none() | st.integers() | st.text(max_size=20) | st.binary(max_size=20) | st.lists(st.integers(), max_size=4)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*DOVECOT, "_AUDIT_SESSION", "SYSLOG_PID", "x"]), VALUES))
def test_any_fields(fields: dict[str, object]) -> None:
    entry = parse_entry(fields)
    if entry is not None:
        is_from(entry.origin, {"log"}, becomes_user=True)
    assert everything().feed(fields, NOW) is None
