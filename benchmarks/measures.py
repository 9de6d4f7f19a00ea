"""What is measured, and how. Each measure takes a running peer and gives one figure.

Every peer has answered some clients before anything is counted: what it loads at first use is loaded then, and a
password that it remembers for a while is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.accounting import cpu_time, memory
from benchmarks.peers import Running
from benchmarks.traffic import TEN_MEGABYTES, Load, Outcome, Sink

CROWDS = (1, 10, 100, 1000)
"""How many connections share the messages."""
USUAL = 10
"""How many do where it isn't the question."""
CROWD = 50
"""How many do where the question is what two workers can do at most."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure."""

    name: str
    title: str
    unit: str
    rival: str = "dovecot-tuned"
    """The peer that ours is compared with."""


OPENING = Measure("opening", "1 KB, a connection each", "µs")
KEPT = {
    count: Measure(f"kept-{count}", f"1 KB, {count:,} kept connection{'s' if count > 1 else ''}", "µs")
    for count in CROWDS
}
LARGE = Measure("large", "10 MB", "ms")
IDLE = Measure("idle", "idle TLS session", "KiB")
ADDED_P50 = Measure("added-p50", "added latency, median", "µs")
ADDED_P99 = Measure("added-p99", "added latency, 99th percentile", "µs")
RATE_KEPT = Measure("rate-kept", "2 workers, kept connections", "messages/s")
RATE_OPENING = Measure("rate-opening", "2 workers, a connection each", "messages/s")
HOST = Measure("host", "host with sendmail, a connection each", "µs", rival="sendmail")

WITH_ONE_WORKER = (IDLE, OPENING, *KEPT.values(), LARGE, ADDED_P50, ADDED_P99)
WITH_TWO_WORKERS = (RATE_KEPT, RATE_OPENING)
ALL = (OPENING, *KEPT.values(), LARGE, IDLE, ADDED_P50, ADDED_P99, *WITH_TWO_WORKERS, HOST)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it."""

    rounds: int
    warm_up: int
    opening: int
    kept: int
    large: int
    idle: int
    latency: int
    host: int


FULL = Scale(rounds=3, warm_up=50, opening=1000, kept=4000, large=25, idle=1000, latency=1000, host=500)
QUICK = Scale(rounds=1, warm_up=20, opening=150, kept=1000, large=5, idle=200, latency=200, host=100)


def warm_up(port: int, scale: Scale) -> None:
    """A few clients, one after the other."""
    Load(port, connections=scale.warm_up).run()


def with_one_worker(
    running: Running, sink: Sink, scale: Scale, most_connections: int
) -> Iterator[tuple[Measure, float]]:
    """Each measure of WITH_ONE_WORKER as far as the peer takes so many connections.

    Memory is first: later on there would be some that earlier connections have left behind.
    """
    warm_up(running.port, scale)
    yield IDLE, _idle(running, min(scale.idle, most_connections))
    yield OPENING, _cpu_per_connection([running.pid], running.port, scale.opening, sink)
    for count, measure in KEPT.items():
        if count <= most_connections:
            yield measure, _kept(running, sink, count, scale.kept)
    yield LARGE, _large(running, sink, scale.large)
    added = _added(running, sink, scale.latency)
    yield ADDED_P50, added[0]
    yield ADDED_P99, added[1]


def with_two_workers(running: Running, scale: Scale) -> Iterator[tuple[Measure, float]]:
    """Each measure of WITH_TWO_WORKERS."""
    warm_up(running.port, scale)
    with Load(running.port, connections=CROWD, messages=scale.kept // CROWD).paused() as clients:
        yield RATE_KEPT, clients.send().rate
    yield RATE_OPENING, Load(running.port, connections=scale.opening, parallel=CROWD).run().rate


def host(pids: list[int], port: int, scale: Scale) -> float:
    """The measure HOST, of the families that share the work."""
    warm_up(port, scale)
    return _cpu_per_connection(pids, port, scale.host)


def _cpu_per_connection(pids: list[int], port: int, count: int, sink: Sink | None = None) -> float:
    """What a message costs that comes on a connection of its own, until the sink has it if there is one."""
    before = cpu_time(pids)
    expected = sink.count() + count if sink else 0
    Load(port, connections=count, parallel=USUAL).run()
    if sink:
        sink.wait_for(expected)
    return (cpu_time(pids) - before) / count * 1e6


def _kept(running: Running, sink: Sink, connections: int, messages: int) -> float:
    each = messages // connections
    return _cpu_per_message(running, sink, Load(running.port, connections, messages=each))


def _large(running: Running, sink: Sink, messages: int) -> float:
    return _cpu_per_message(running, sink, Load(running.port, 1, messages=messages, size=TEN_MEGABYTES)) / 1000


def _cpu_per_message(running: Running, sink: Sink, load: Load) -> float:
    """What messages cost without the connections that they come on."""
    count = load.connections * load.messages
    with load.paused() as clients:
        before = cpu_time([running.pid])
        expected = sink.count() + count
        clients.send()
        sink.wait_for(expected)
        return (cpu_time([running.pid]) - before) / count * 1e6


def _idle(running: Running, sessions: int) -> float:
    before = memory(running.pid)
    with Load(running.port, sessions).paused():
        return (memory(running.pid) - before) / sessions


def _added(running: Running, sink: Sink, messages: int) -> tuple[float, float]:
    """How much longer one client waits for a message's last reply than if it spoke to the sink without TLS."""

    def latencies(port: int, *, logs_in: bool) -> Outcome:
        with Load(port, 1, messages=messages, logs_in=logs_in).paused() as client:
            return client.send()

    direct = latencies(sink.port, logs_in=False)
    through = latencies(running.port, logs_in=True)
    return through.p50 - direct.p50, through.p99 - direct.p99
