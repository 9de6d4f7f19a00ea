"""The service's log in rsyslog's files, through a restart of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.network import PATIENCE, free_port, wait_until
from tests.support.programs import require
from tests.support.server import Server

LAUNCHER = """
import pathlib, sys
from submission import system_log
from submission.cli.main import main
system_log.SOCKET = pathlib.Path(sys.argv[1])
sys.argv = sys.argv[4:]
main()
"""
"""Runs `submission` with a socket in place of /dev/log, which is the host's."""

CONFIGURATION = """
module(load="imuxsock" sysSock.use="off")
input(type="imuxsock" socket="{folder}/socket")
template(name="line" type="string" string="%syslogfacility-text%.%syslogseverity-text% %programname% %msg%\\n")
mail.* action(type="omfile" file="{folder}/mail.log" template="line")
"""


@contextmanager
def rsyslogd(folder: Path) -> Iterator[None]:
    require("rsyslogd")
    (folder / "rsyslog.conf").write_text(CONFIGURATION.format(folder=folder))
    command = ["rsyslogd", "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "rsyslog.pid")]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: (folder / "socket").exists() or process.poll() is not None)
            (folder / "socket").chmod(0o666)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)
    (folder / "socket").unlink(missing_ok=True)


@pytest.fixture
def server(folder: Path) -> Server:
    (folder / "server").mkdir(mode=0o755)
    launcher = (sys.executable, "-c", LAUNCHER, str(folder / "socket"))
    return Server(folder / "server", f"127.0.0.1:{free_port()}", {"log": {"syslog": "mail"}}, launcher)


def test_the_log_is_in_rsyslog_s_file_and_a_restart_of_it_loses_nothing(server: Server, folder: Path) -> None:
    def told() -> list[str]:
        return (folder / "mail.log").read_text().splitlines() if (folder / "mail.log").exists() else []

    with rsyslogd(folder):
        server.start()
        wait_until(lambda: any("event=relay-unreachable" in line for line in told()))
        assert all(line.startswith("mail.") for line in told())
        assert any(line.startswith("mail.notice submission  event=certificate-loaded ") for line in told())
        assert any(line.startswith("mail.warning submission  event=relay-unreachable ") for line in told())
    with server.connect("none") as sock:
        assert sock.recv(100).startswith(b"220 ")
        sock.sendall(b"QUIT\r\n")
        while sock.recv(100):
            pass
    with rsyslogd(folder):
        server.stop()
        wait_until(lambda: any("event=stopping" in line for line in told()))
        wait_until(lambda: any("event=connection" in line for line in told()))
    assert server.log() == []
