"""Thousands of messages through random faults, and whether the sums agree.

    make faults                                     ten thousand messages
    make faults ARGS="--messages 500 --seed 17"     the same faults again, as far as the machine plays along

Each attempt has its own client, which fails somewhere or doesn't, and its own message; some name a fault of the
relay's, too. Meanwhile the weather kills and stops processes. In the end each attempt must have one of the outcomes
that outcomes.py has words for:

    acknowledged    delivered once and whole, and logged so
    otherwise       delivered once and whole, or not at all; the log knows which, or says that nobody does

Only of a worker that was killed the log knows nothing. So an attempt may be missing there if it was under way then.
"""

from __future__ import annotations

import dataclasses
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from submission.certificates import write_certificates
from tests.faults.outcomes import FAULT, Ground
from tests.faults.plans import plans
from tests.faults.weather import Weather
from tests.support.failing_client import ACKNOWLEDGED, PASSWORD, USER, Plan, play, start
from tests.support.failing_relay import FailingRelay
from tests.support.processes import next_line
from tests.support.server import Server, public_folder

CLIENTS = 24
"""At a time."""
PATIENCE = 3.0
"""Seconds after which a client gives up, or is hung up on by a test that has others to see."""
SETTINGS = {
    "workers": 3,
    "auth": {"require_tls": False},
    "limits": {"command_timeout": 1, "connections_per_ip": 1000, "message_size": "1MiB"},
    "relay": {"connect_timeout": 1, "final_timeout": 1},
}
_FROM_OUTSIDE = 0.06
"""The share of failing clients that are processes of their own, to be killed or stopped."""
_SIGNALS = {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}
_TELLING = 500
"""Messages between two lines of progress, where that is no terminal."""
_STOPPED = 1.5
"""Seconds that a client is stopped for: longer than the service waits."""


@dataclass(slots=True)
class Report:
    """What was found. `faults` is empty where all is as it should be."""

    seed: str
    seconds: float = 0.0
    words: Counter[str] = field(default_factory=Counter)
    weather: Mapping[str, int] = field(default_factory=dict)
    logged: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def listed(counts: Mapping[str, int]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing"

        unknown = self.delivered - self.logged["ok"] - self.words["untold"]
        return "\n".join(
            [
                f"seed {self.seed}: {self.words.total()} messages in {self.seconds:.0f} s",
                f"outcomes: {listed(self.words)}",
                f"the log: {listed(self.logged)}",
                f"delivered: {self.delivered}, of which unknown {unknown}",
                f"weather: {listed(self.weather)}",
                *self.faults,
            ]
        )


def storm(messages: int, seed: str, progress: Callable[[int], object] = lambda _: None) -> Report:
    """Send so many, and see. `progress` is called with how many are through."""
    began = time.monotonic()
    with _installation() as (server, relay):
        ground = Ground(server, relay)
        weather = Weather(f"{seed}-weather", server, relay)
        attempts = _send(list(islice(plans(seed, server.ports, PATIENCE, _FROM_OUTSIDE), messages)), weather, progress)
        _stop(server, relay)
        outcomes = ground.outcomes({plan: attempt.is_acknowledged for plan, attempt in attempts.items()})
        report = Report(seed, time.monotonic() - began, Counter(outcomes.values()), weather.counts)
        report.logged.update(event["result"] for event in ground.events.all("message"))
        report.delivered = sum(map(len, relay.messages().values()))
        for plan, word in outcomes.items():
            if word.startswith(FAULT):
                report.faults.append(f"{plan}: {word}")
            elif word == "untold" and not any(map(attempts[plan].was_during, weather.kills)):
                report.faults.append(f"{plan}: not in the log, and no worker was killed")
        return report


@dataclass(frozen=True, slots=True)
class _Attempt:
    is_acknowledged: bool
    began: float
    ended: float

    def was_during(self, moment: float) -> bool:
        return self.began <= moment <= self.ended + PATIENCE  # the relay may have answered after the client had gone


@contextmanager
def _installation() -> Iterator[tuple[Server, FailingRelay]]:
    with public_folder() as folder, tempfile.TemporaryDirectory() as name, FailingRelay(_prepare(Path(name))) as relay:
        server = Server(folder, relay.address, SETTINGS)
        server.add_user(USER, PASSWORD)
        with server:
            yield server, relay


def _prepare(folder: Path) -> Path:
    write_certificates(folder, ["localhost"])
    return folder


def _send(plans: Sequence[Plan], weather: Weather, progress: Callable[[int], object]) -> dict[Plan, _Attempt]:
    """Play all of them, some at a time, in whatever weather."""
    done = 0
    lock = threading.Lock()

    def attempt(plan: Plan) -> _Attempt:
        nonlocal done
        weather.serves.wait()
        began = time.monotonic()
        is_acknowledged = _signal(plan) if plan.fault in _SIGNALS else play(plan, threading.Event())
        with lock:
            done += 1
            progress(done)
        return _Attempt(is_acknowledged, began, time.monotonic())

    weather.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as executor:
            return dict(zip(plans, executor.map(attempt, plans), strict=True))
    finally:
        weather.end()


def _stop(server: Server, relay: FailingRelay) -> None:
    """Let the service end, whose sessions are not to wait for a silent relay any more."""
    with ThreadPoolExecutor(1) as executor:
        stopping = executor.submit(server.stop)
        while not stopping.done():
            relay.order("release")
        stopping.result()


def _signal(plan: Plan) -> bool:
    """Play an attempt in a process of its own, which is killed, or stopped for a while, at its step."""
    with start(dataclasses.replace(plan, fault="pause")) as process:
        try:
            is_acknowledged = next_line(process) == ACKNOWLEDGED  # at its step, or at the end, if it never came there
            process.send_signal(_SIGNALS[plan.fault])
            if plan.fault == "SIGSTOP":
                time.sleep(_STOPPED)  # time is what this is about
                process.send_signal(signal.SIGCONT)
            rest, _ = process.communicate("\n", PATIENCE * 10)
        finally:
            process.kill()
    return is_acknowledged or ACKNOWLEDGED in rest.splitlines()


@click.command(help="Send messages through random faults, and see whether the sums agree.")
@click.option("--messages", default=10_000, show_default=True)
@click.option("--seed", default="", help="Of a run that is to be had again; a new one unless told.")
def main(messages: int, seed: str) -> None:
    """The command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # what was started is stopped, whoever asks for it
    console = Console()
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("messages", total=messages)

        def show(done: int) -> None:
            bar.update(task, completed=done)
            if not console.is_terminal and done % _TELLING == 0:
                console.print(f"{done} messages")

        report = storm(messages, seed or secrets.token_hex(4), show)
    console.print(str(report), markup=False, highlight=False)
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
