"""make soak: whether anything grows, and whether the slow are felt.

    make soak                                     five minutes with 2,000 clients
    make soak ARGS="--minutes 60 --clients 2000"

Flat: rounds of clients by the thousand, of whom a third fail in some way, as a quarter of their messages make the
relay do (tests/faults/plans.py). The others stay in their transactions for up to half a minute, so that most are there
at a time.
After each round all leave. What each worker then has of descriptors, tasks and memory has to be, after the last round,
what it was after the first, which warmed it up; of memory no more than MAX_GROWTH of it. So has the memory in the
middle of things, at the end of a round.

Apart: one client who sends message after message, alone and beside a thousand who send an octet a second and a thousand
who send commands and read no reply. Its 99th percentile beside them may be MAX_DELAY times that without, or NOTICED,
whichever is more: below that it is the machine's other work that one sees.

Exit code 1 where either is not so.
"""

from __future__ import annotations

import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import traffic
from benchmarks.accounting import proportional_size
from benchmarks.crowd import dawdling, soaking
from benchmarks.traffic import Load
from submission.certificates import write_certificates
from submission.service.worker import SWEEP
from tests.support.failing_client import PASSWORD, USER
from tests.support.failing_relay import FailingRelay
from tests.support.network import wait_until
from tests.support.server import Server, public_folder

WORKERS = 2
ROUNDS = 4
"""The first of them warms up."""
MAX_GROWTH = 1.10
MAX_DELAY = 2.0
NOTICED = 25_000.0
"""Microseconds."""
SLOW = 1000
"""Slow writers, and as many slow readers."""
PROBES = 5
"""Measurements of the one client, at each time."""
MESSAGES = 1000
"""In each of them."""
LOOK = 1.0
"""Seconds between two looks at how many are there."""
ARRIVAL = 300.0
"""Seconds that the slow may take for coming in: many send commands as fast as they can, until no more goes out."""
RELEASE = 5.0
"""Seconds between two times that those of the relay's connections go on which stand still."""
TELLING = 15.0
"""Seconds between two lines of progress."""
CALM = SWEEP + 5.0
"""Seconds in which nothing changes any more once all clients have left: a worker tidies up from time to time."""

SETTINGS = {
    "workers": WORKERS,
    "auth": {"require_tls": False},
    "limits": {"command_timeout": 60, "connections": 20_000, "connections_per_ip": 20_000, "message_size": "1MiB"},
    "relay": {"final_timeout": 5},
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker has at one moment. Memory is KiB, its part of what is shared included (PSS)."""

    descriptors: int
    tasks: int
    memory: int


@dataclass(slots=True)
class Results:
    """All that was measured."""

    at_rest: list[list[Figures]] = field(default_factory=list)
    """By round, then by worker; so are those at work."""
    at_work: list[list[Figures]] = field(default_factory=list)
    attempts: int = 0
    taken: int = 0
    quiet: list[traffic.Outcome] = field(default_factory=list)
    beside: list[traffic.Outcome] = field(default_factory=list)


class Soak:
    """The service, its relay and what was measured of them."""

    def __init__(self, server: Server, relay: FailingRelay, folder: Path, say: Callable[[str], object]) -> None:
        self._server = server
        self._relay = relay
        self._folder = folder
        self._say = say
        self.results = Results()

    def stay_flat(self, clients: int, seconds: float) -> None:
        """The rounds."""
        for number in range(ROUNDS):
            with soaking(clients, secrets.token_hex(4), self._server.ports) as crowd:
                self._wait(seconds / ROUNDS, f"round {number + 1} of {ROUNDS}")
                self.results.at_work.append(self._look())
                self._relay.order("release")
            self.results.attempts += crowd.played.total()
            self.results.taken += crowd.played[True]
            self.results.at_rest.append(self._come_to_rest())

    def stay_apart(self) -> None:
        """The one client, alone and beside the slow."""
        self._probe(self.results.quiet, "alone")
        with dawdling(SLOW, SLOW, self._server.ports["none"]):
            self._say(f"{2 * SLOW} slow clients come in")
            self._wait_for_descriptors(3 * SLOW)  # the writers have a connection to the relay, too
            self._probe(self.results.beside, "beside the slow")
        self._come_to_rest()
        self._probe(self.results.quiet, "alone again")

    def _probe(self, outcomes: list[traffic.Outcome], when: str) -> None:
        load = Load(self._server.ports["starttls"], 1, messages=MESSAGES)
        for _ in range(PROBES):
            outcomes.append(load.run())
            self._say(f"one client, {when}: p50 {outcomes[-1].p50 / 1000:.1f} ms, p99 {outcomes[-1].p99 / 1000:.1f} ms")

    def _wait_for_descriptors(self, count: int) -> None:
        end = time.monotonic() + ARRIVAL
        while sum(figures.descriptors for figures in self._look()) < count:
            if time.monotonic() > end:
                raise TimeoutError("the slow don't come in")
            time.sleep(LOOK)

    def _wait(self, seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        told = 0.0
        while (now := time.monotonic()) < end:
            if now - told > TELLING:
                told = now
                self._say(f"{what}, {end - now:.0f} s to go: {_brief(self._look())}")
            time.sleep(min(RELEASE, end - now))
            self._relay.order("release")

    def _come_to_rest(self) -> list[Figures]:
        """Wait until nothing changes any more. Connections to the relay that are kept count as nothing."""
        before: list[tuple[int, int]] = []
        while True:
            self._relay.order("well")
            now = self._look()
            counts = [(figures.descriptors, figures.tasks) for figures in now]
            if counts == before:
                self._say(f"at rest: {_brief(now)}")
                return now
            before = counts
            time.sleep(CALM)

    def _look(self) -> list[Figures]:
        return [
            Figures(len(os.listdir(f"/proc/{pid}/fd")), self._count_tasks(pid), proportional_size(pid))  # noqa: PTH208
            for pid in self._server.workers()
        ]

    def _count_tasks(self, pid: int) -> int:
        """What watched/sitecustomize.py tells."""
        path = self._folder / str(pid)
        path.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda: path.exists() and path.read_text().isdigit())
        return int(path.read_text())


def is_flat(results: Results) -> bool:
    """Whether the last round left every worker as the first did."""
    return all(
        last.descriptors <= first.descriptors
        and last.tasks <= first.tasks
        and last.memory <= first.memory * MAX_GROWTH
        and last_at_work.memory <= first_at_work.memory * MAX_GROWTH
        for first, last, first_at_work, last_at_work in zip(
            results.at_rest[0], results.at_rest[-1], results.at_work[0], results.at_work[-1], strict=True
        )
    )


def is_apart(results: Results) -> bool:
    """Whether the one client hardly felt the slow."""
    return _median_p99(results.beside) <= max(_median_p99(results.quiet) * MAX_DELAY, NOTICED)


def _median_p99(outcomes: list[traffic.Outcome]) -> float:
    return statistics.median(outcome.p99 for outcome in outcomes)


def _brief(workers: list[Figures]) -> str:
    return "; ".join(
        f"{figures.descriptors} descriptors, {figures.tasks} tasks, {figures.memory / 1024:.1f} MiB"
        for figures in workers
    )


def _flat_table(results: Results) -> Table:
    table = Table("round", "worker", "descriptors", "tasks", "MiB", "descriptors at work", "tasks", "MiB")
    for number, (rest, work) in enumerate(zip(results.at_rest, results.at_work, strict=True), start=1):
        for worker, (idle, busy) in enumerate(zip(rest, work, strict=True), start=1):
            values = [
                idle.descriptors,
                idle.tasks,
                idle.memory / 1024,
                busy.descriptors,
                busy.tasks,
                busy.memory / 1024,
            ]
            table.add_row(str(number), str(worker), *(f"{v:.1f}" if isinstance(v, float) else str(v) for v in values))
    return table


def _apart_table(results: Results) -> Table:
    table = Table("one client", "median of p50, ms", "median of p99, ms", "p99 of each time, ms")
    for name, outcomes in (("alone", results.quiet), ("beside the slow", results.beside)):
        p50 = statistics.median(outcome.p50 for outcome in outcomes)
        each = ", ".join(f"{outcome.p99 / 1000:.1f}" for outcome in outcomes)
        table.add_row(name, f"{p50 / 1000:.2f}", f"{_median_p99(outcomes) / 1000:.1f}", each)
    return table


@contextmanager
def _installation(say: Callable[[str], object]) -> Iterator[Soak]:
    with public_folder() as folder, tempfile.TemporaryDirectory() as relay_folder:
        write_certificates(Path(relay_folder), ["localhost"])
        state = folder / "state"
        watched = [f"PYTHONPATH={Path(__file__).parent / 'watched'}", f"TASKS_FOLDER={state}"]
        with FailingRelay(Path(relay_folder)) as relay:
            relay.order("forget")
            server = Server(folder, relay.address, SETTINGS, ["env", *watched])
            server.add_user(USER, PASSWORD)
            user, _, _ = traffic.USER.partition("@")
            server.add_user(user, traffic.PASSWORD)
            with server:
                yield Soak(server, relay, state, say)


@click.command(help="Soak the service in clients, and see whether anything grows and whether the slow are felt.")
@click.option("--minutes", default=5.0, show_default=True, help="Of the rounds; what else there is takes one more.")
@click.option("--clients", default=2000, show_default=True)
def main(minutes: float, clients: int) -> None:
    """The command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # what was started is stopped, whoever asks for it
    console = Console(width=None if sys.stdout.isatty() else 120)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:4.0f} s  {text}", markup=False, highlight=False)

    with _installation(say) as soak:
        soak.stay_apart()
        soak.stay_flat(clients, minutes * 60)
        results = soak.results
    console.print(_flat_table(results), _apart_table(results))
    console.print(f"{results.attempts} attempts by {clients} clients, {results.taken} of them acknowledged")
    flat, apart = is_flat(results), is_apart(results)
    console.print("flat" if flat else "NOT FLAT", "and", "apart" if apart else "NOT APART")
    sys.exit(not (flat and apart))


if __name__ == "__main__":
    main()
