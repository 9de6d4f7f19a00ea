"""The supervisor with workers that do nothing of their own; test_workers.py has the real ones.

Each is a process that a script makes, and that prints what happens.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.support.network import wait_until
from tests.support.processes import next_line, ready
from tests.support.workers import is_alive

SCRIPT = """
import os, signal, socket, sys, time
from submission import logs
from submission.service.errors import StartError
from submission.service.supervisor import Supervisor

def serve(station):
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: os._exit(0))
    station.unblock_signals()
    station.announce()
    os.read(station.lifeline, 1)

def hang(station):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    station.unblock_signals()
    station.announce()
    signal.pause()

def fail_second(station):
    if station.number == 1:
        raise StartError("the store is gone", 78)
    serve(station)

def die_second(station):
    if station.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    serve(station)

def break_second(station):
    if station.number == 1:
        raise ValueError("a fault")
    serve(station)

def wait_second(station):
    if station.number == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        print("waiting", flush=True)
        station.unblock_signals()
        signal.pause()
    serve(station)

logs.configure("logfmt", sys.stdout)
print("ready", flush=True)
sock = socket.create_server(("127.0.0.1", 0))

class Crew:
    count = 2
    def __init__(self, *names):
        self.work, self.names, self.sockets = globals()[names[0]], names[1:], [sock]
    def begin(self):
        pass
    def renew(self):
        if not self.names:
            raise StartError("no more of them", 78)
        return Crew(*self.names)

def report(begun, reason):
    if reason:
        print("reported", reason, reason.code, flush=True)

supervisor = Supervisor(
    Crew(*sys.argv[1].split(",")), rows=5, forget=lambda row: None, patience=float(sys.argv[2]), report=report
)
try:
    supervisor.run(lambda: print("all ready", flush=True))
except StartError as error:
    print(f"failed: {error}", flush=True)
    sys.exit(error.code)
print("over", sock.fileno(), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_for_its_workers_and_closes_its_sockets(number: signal.Signals) -> None:
    with ready(SCRIPT, "serve", "60") as process:
        assert next_line(process) == "all ready"
        workers = children(process.pid)
        assert len(workers) == 2
        process.send_signal(number)
        assert next_line(process).endswith("event=stopping")
        assert next_line(process) == "over -1"
        assert process.wait() == 0
        assert not any(map(is_alive, workers))


def test_a_worker_that_does_not_end_is_killed() -> None:
    with ready(SCRIPT, "hang", "0.2") as process:
        assert next_line(process) == "all ready"
        process.send_signal(signal.SIGTERM)
        lines = [next_line(process) for _ in range(4)]
        assert lines[0].endswith("event=stopping")
        assert [line.partition("signal=")[2] for line in lines[1:3]] == ["SIGKILL", "SIGKILL"]
        assert lines[3] == "over -1"
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("work", "code", "text"),
    [
        ("fail_second", 78, "the store is gone"),
        ("die_second", os.EX_SOFTWARE, "worker [0-9]+ died at its start"),
        ("break_second", os.EX_SOFTWARE, "worker [0-9]+ died at its start"),
    ],
)
def test_a_worker_that_cannot_start_stops_all(work: str, code: int, text: str) -> None:
    with ready(SCRIPT, work, "60") as process:
        lines = list(iter(lambda: next_line(process), ""))
        assert re.fullmatch(f"failed: {text}", lines[-1])
        assert "all ready" not in lines
        assert process.wait() == code


def test_a_start_can_be_called_off() -> None:
    with ready(SCRIPT, "wait_second", "60") as process:
        assert next_line(process) == "waiting"
        process.send_signal(signal.SIGHUP)  # there is nothing to reload yet, and nobody dies of it
        process.send_signal(signal.SIGTERM)
        assert next_line(process).endswith("event=stopping")
        assert next_line(process) == "over -1"
        assert process.wait() == 0


def test_workers_learn_that_it_is_gone() -> None:
    with ready(SCRIPT, "serve", "60") as process:
        assert next_line(process) == "all ready"
        workers = children(process.pid)
        process.kill()
        wait_until(lambda: not any(map(is_alive, workers)))


def test_signals_that_were_ignored_before_it_was_started_are_none_of_its_matter() -> None:
    """A shell's background jobs ignore SIGINT, nohup's SIGHUP, and a careless parent SIGCHLD."""
    ignoring = "import signal\nfor number in (1, 2, 17):\n    signal.signal(number, signal.SIG_IGN)\n" + SCRIPT
    with ready(ignoring, "serve", "60") as process:
        assert next_line(process) == "all ready"
        victim, survivor = children(process.pid)
        os.kill(victim, signal.SIGKILL)
        assert f"event=worker-died pid={victim} signal=SIGKILL" in next_line(process)
        assert "event=worker-started" in next_line(process)
        assert survivor in children(process.pid)
        process.send_signal(signal.SIGINT)
        assert next_line(process).endswith("event=stopping")
        assert next_line(process) == "over -1"


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
