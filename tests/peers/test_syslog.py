"""The service's log in rsyslog's files, through a restart of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.network import free_port, wait_until
from tests.support.rsyslog import rsyslog
from tests.support.server import Server
from tests.support.system_log import launcher


@pytest.fixture
def server(folder: Path) -> Server:
    (folder / "server").mkdir(mode=0o755)
    return Server(
        folder / "server", f"127.0.0.1:{free_port()}", {"log": {"syslog": "mail"}}, launcher(folder / "socket")
    )


def test_the_log_is_in_rsyslog_s_file_and_a_restart_of_it_loses_nothing(server: Server, folder: Path) -> None:
    with rsyslog(folder / "first", folder / "socket") as first:
        server.start()
        wait_until(lambda: any(b"event=relay-unreachable" in line for line in first.lines("rfc5424")))
        lines = first.lines("rfc5424")
        assert all(re.match(rb"<(?:20|21)>1 \S+ \S+ submission [0-9]+ - -  ?event=", line) for line in lines)
        assert [line[:4] for line in lines if b"event=certificate-loaded" in line] == [b"<21>"]  # mail, notice
        assert [line[:4] for line in lines if b"event=relay-unreachable" in line] == [b"<20>"]  # mail, warning
    with server.connect("none") as sock:
        assert sock.recv(100).startswith(b"220 ")
        sock.sendall(b"QUIT\r\n")
        while sock.recv(100):
            pass
    with rsyslog(folder / "second", folder / "socket") as second:
        server.stop()
        for name in (b"connection", b"stopping"):
            wait_until(lambda name=name: any(b"event=" + name in line for line in second.lines("rfc5424")))  # type: ignore[misc]
    assert server.log() == []
