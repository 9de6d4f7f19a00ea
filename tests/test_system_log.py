"""Lines to a syslogd that is a socket of the test: as slow, and as absent, as can be."""

import itertools
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission import system_log
from submission.system_log import MAX_HELD, Severity, SystemLog

STAMP = re.compile(rb"<(\d+)>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) submission\[(\d+)\]: (.*)")


class Daemon:
    """Reads when it is told to."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._path = path

    def read(self) -> list[bytes]:
        """Every datagram that has come."""
        datagrams = []
        try:
            while True:
                datagrams.append(self._socket.recv(1 << 16))
        except BlockingIOError:
            return datagrams

    def texts(self) -> list[str]:
        return [STAMP.fullmatch(datagram)[4].decode() for datagram in self.read()]  # type: ignore[index]

    def stop(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(system_log, "SOCKET", tmp_path / "log")
    return tmp_path / "log"


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    daemon = Daemon(path)
    yield daemon
    daemon.stop()


@pytest.fixture
def log(path: Path) -> SystemLog:
    return SystemLog("mail", lambda lines: f"lost {lines}")


def test_a_line_is_a_datagram_of_rfc_3164(log: SystemLog, daemon: Daemon) -> None:
    before = int(time.time())
    log.write("event=test", Severity.WARNING)
    [datagram] = daemon.read()
    match = STAMP.fullmatch(datagram)
    assert match
    assert match[1] == b"20"  # mail is 2, and warning 4
    moments = [time.strftime("%b %e %H:%M:%S", time.localtime(before + late)).encode() for late in range(3)]
    assert match[2] in moments
    assert (match[3], match[4]) == (str(os.getpid()).encode(), b"event=test")


@pytest.mark.parametrize(
    ("facility", "severity", "priority"),
    [("mail", Severity.NOTICE, 21), ("mail", Severity.ERROR, 19), ("local7", Severity.NOTICE, 189)],
)
def test_the_priority_is_of_facility_and_severity(
    facility: str, severity: Severity, priority: int, daemon: Daemon
) -> None:
    SystemLog(facility, str).write("x", severity)
    assert daemon.read()[0].startswith(f"<{priority}>".encode())


def test_who_comes_back_gets_what_was_written_meanwhile(log: SystemLog, daemon: Daemon, path: Path) -> None:
    log.write("first", Severity.NOTICE)
    assert daemon.texts() == ["first"]
    daemon.stop()
    log.write("second", Severity.NOTICE)
    log.write("third", Severity.NOTICE)
    again = Daemon(path)
    log.flush()
    log.write("fourth", Severity.NOTICE)
    assert again.texts() == ["second", "third", "fourth"]
    again.stop()


def test_who_does_not_read_holds_nobody_up_and_is_told_what_was_lost(log: SystemLog, daemon: Daemon) -> None:
    room = next(number for number in itertools.count() if not _takes(daemon, number))
    count = room + MAX_HELD + 7
    begin = time.thread_time()
    for number in range(count):
        log.write(str(number), Severity.NOTICE)
    assert time.thread_time() - begin < 1
    told: list[str] = []
    while texts := daemon.texts():
        told += texts
        log.flush()
    assert told == [*map(str, range(room + MAX_HELD)), "lost 7"]


def _takes(daemon: Daemon, number: int) -> bool:
    """Whether a socket that nobody reads takes so many datagrams and one more; it is empty afterwards."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            for _ in range(number + 1):
                sender.sendto(b"x", str(daemon._path))
        except BlockingIOError:
            return False
        finally:
            daemon.read()
    return True


CHILD = """
import os, sys
from pathlib import Path
from submission import system_log
from submission.system_log import Severity, SystemLog
system_log.SOCKET = Path(sys.argv[1])
log = SystemLog("mail", str)
log.write("of the parent", Severity.NOTICE)
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    print("ready", flush=True)
    input()
    log.write("of the parent again", Severity.NOTICE)
else:
    log.write("of the child", Severity.NOTICE)
    log.flush()
    print("child", flush=True)
    input()
    log.flush()
    os._exit(0)
"""


def test_what_a_parent_holds_is_sent_once(path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=0) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "child\n"
        daemon = Daemon(path)
        process.stdin.write("\n")
        assert process.stdout.readline() == "ready\n"
        assert daemon.texts() == ["of the child"]
        process.stdin.write("\n")
        assert process.wait(10) == 0
        assert daemon.texts() == ["of the parent", "of the parent again"]
        daemon.stop()
