"""The supervisor with workers that do nothing of their own; test_workers.py has the real ones.

Each is a process that a script makes, and that prints what happens.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.network import wait_until
from tests.support.processes import next_line, ready, release
from tests.support.workers import is_alive

SCRIPT = """
import os, signal, socket, sys, time
from submission import logs
from submission.service.errors import StartError
from submission.service.supervisor import Supervisor

def say(*words):
    # All of a line in one piece, for several processes write.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

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
        say("waiting")
        station.unblock_signals()
        signal.pause()
    serve(station)

def wait_for_word(station):
    if station.number == 1:
        say("waiting")
        sys.stdin.readline()
    serve(station)

def linger(station):
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    station.unblock_signals()
    station.announce()
    while True:
        signal.pause()

def crowd(station):
    serve(station)

logs.configure("logfmt", sys.stdout)
say("ready")
sock = socket.create_server(("127.0.0.1", 0))

class Crew:
    def __init__(self, *names):
        self.work, self.names, self.sockets = globals()[names[0]], names[1:], [sock]
        self.count = 7 if self.work is crowd else 2
    def begin(self):
        pass
    def renew(self):
        if not self.names:
            raise StartError("one reason\\nand another", 78)
        if self.names[0] == "fault":
            raise ValueError("a fault")
        return Crew(*self.names)

def report(begun, reason):
    if reason:
        say(f"refused with {reason.code}: {reason}")

supervisor = Supervisor(
    Crew(*sys.argv[1].split(",")), rows=6, forget=lambda row: None, patience=float(sys.argv[2]), report=report
)
try:
    supervisor.run(lambda: say("all ready"))
except StartError as error:
    say(f"failed: {error}")
    sys.exit(error.code)
say("over", sock.fileno())
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


def following(process: subprocess.Popen[str], *names: str) -> list[str]:
    """The names of the events that come next, or whole lines that are none, up to the last of these."""
    lines: list[str] = []
    while not lines or lines[-1] != names[-1]:
        line = next_line(process)
        assert line, lines
        lines.append(line.partition("event=")[2].partition(" ")[0] or line)
    return lines


def test_another_crew_takes_over_once_all_of_it_are_ready() -> None:
    with ready(SCRIPT, "serve,serve", "60") as process:
        assert next_line(process) == "all ready"
        before = children(process.pid)
        process.send_signal(signal.SIGHUP)
        events = following(process, "reloaded")
        assert events == ["reloading", "worker-started", "worker-started", "reloaded"]
        assert following(process, "worker-retired") == ["worker-retired"]
        assert following(process, "worker-retired") == ["worker-retired"]
        assert not any(map(is_alive, before))
        assert len(children(process.pid)) == 2
        process.send_signal(signal.SIGTERM)
        assert following(process, "over -1") == ["stopping", "over -1"]


@pytest.mark.parametrize(
    ("successor", "code", "text"),
    [
        ("fail_second", 78, "the store is gone"),
        ("die_second", os.EX_SOFTWARE, "worker [0-9]+ died at its start"),
        ("fault", os.EX_SOFTWARE, "internal error: a fault"),
    ],
)
def test_a_crew_that_cannot_begin_changes_nothing(successor: str, code: int, text: str) -> None:
    with ready(SCRIPT, f"serve,{successor}", "60") as process:
        assert next_line(process) == "all ready"
        before = children(process.pid)
        process.send_signal(signal.SIGHUP)
        lines = iter(lambda: next_line(process), "")
        assert any(re.search(f'event=reload-refused reason="{text}"', line) for line in lines)
        assert re.fullmatch(f"refused with {code}: {text}", next_line(process))
        wait_until(lambda: children(process.pid) == before)
        os.kill(before[0], signal.SIGKILL)  # who dies is replaced by one of the old crew
        assert "worker-started" in following(process, "worker-started")
        process.send_signal(signal.SIGTERM)
        assert following(process, "over -1")[-1] == "over -1"


def test_each_reason_is_a_line() -> None:
    with ready(SCRIPT, "serve", "60") as process:
        assert next_line(process) == "all ready"
        process.send_signal(signal.SIGHUP)
        assert next_line(process).endswith("event=reloading")
        assert next_line(process).endswith('event=reload-refused reason="one reason"')
        assert next_line(process).endswith('event=reload-refused reason="and another"')


def test_a_wish_that_comes_while_a_crew_begins_is_heard_later() -> None:
    with ready(SCRIPT, "wait_for_word,wait_for_word,serve", "60") as process:
        assert next_line(process) == "waiting"
        process.send_signal(signal.SIGHUP)
        release(process)
        assert following(process, "waiting")[:2] == ["all ready", "reloading"]
        process.send_signal(signal.SIGHUP)
        release(process)
        assert following(process, "reloaded")[-1] == "reloaded"
        assert "reloading" in following(process, "reloaded")


def test_workers_who_never_end_leave_no_room_in_the_end_and_make_some() -> None:
    with ready(SCRIPT, "linger,linger,linger,serve", "60") as process:
        assert next_line(process) == "all ready"
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            assert following(process, "reloaded")[-1] == "reloaded"
        process.send_signal(signal.SIGHUP)  # there would be eight workers then, and six have room
        first, last = children(process.pid)[:2], children(process.pid)[2:]
        text = "6 workers, of earlier configurations too, still have clients: the first of them end now"
        assert following(process, f"refused with 69: {text}, try again in a minute").count("reloading") == 1
        wait_until(lambda: children(process.pid) == last)
        assert not any(map(is_alive, first))
        process.send_signal(signal.SIGHUP)
        assert following(process, "reloaded")[-1] == "reloaded"
        workers = children(process.pid)
        assert (len(workers), workers[:4]) == (6, last)
        process.send_signal(signal.SIGTERM)
        assert following(process, "over -1")[-1] == "over -1"
        assert not any(map(is_alive, workers))


def test_more_workers_than_it_has_room_for_need_a_restart() -> None:
    with ready(SCRIPT, "serve,crowd", "60") as process:
        assert next_line(process) == "all ready"
        process.send_signal(signal.SIGHUP)
        text = "refused with 69: a restart is needed for 7 processes instead"
        assert following(process, text)[-1] == text
        assert len(children(process.pid)) == 2
        process.send_signal(signal.SIGTERM)
        assert following(process, "over -1")[-1] == "over -1"


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
