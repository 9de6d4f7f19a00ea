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

CROWDS = (10, 100, 1000)
"""How many connections share the messages, beside a single one."""
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
ALONE = Measure("kept-1", "1 KB, 1 kept connection", "µs")
KEPT = {count: Measure(f"kept-{count}", f"1 KB, {count:,} kept connections", "µs") for count in CROWDS}
LARGE = Measure("large", "10 MB", "ms")
IDLE = Measure("idle", "idle TLS session", "KiB")
ADDED_P50 = Measure("added-p50", "added latency, median", "µs")
ADDED_P99 = Measure("added-p99", "added latency, 99th percentile", "µs")
RATE_KEPT = Measure("rate-kept", "2 workers, kept connections", "messages/s")
RATE_OPENING = Measure("rate-opening", "2 workers, a connection each", "messages/s")
HOST = Measure("host", "host with sendmail, a connection each", "µs", rival="sendmail")

ALL = (OPENING, ALONE, *KEPT.values(), LARGE, IDLE, ADDED_P50, ADDED_P99, RATE_KEPT, RATE_OPENING, HOST)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it."""

    rounds: int
    warm_up: int
    opening: int
    kept: int
    large: int
    idle: int
    alone: int
    host: int


FULL = Scale(rounds=3, warm_up=50, opening=1000, kept=4000, large=25, idle=1000, alone=500, host=500)
QUICK = Scale(rounds=1, warm_up=10, opening=100, kept=1000, large=3, idle=100, alone=100, host=100)


def warm_up(port: int, scale: Scale) -> None:
    """A few clients, one after the other."""
    Load(port, connections=scale.warm_up).run()


def with_one_worker(
    running: Running, sink: Sink, scale: Scale, most_connections: int
) -> Iterator[tuple[Measure, float]]:
    """Everything about a peer with one worker, as far as it takes so many connections.

    Memory is first: later on there would be some that earlier connections have left behind.
    """
    warm_up(running.port, scale)
    yield IDLE, _idle(running, min(scale.idle, most_connections))
    yield OPENING, _cpu_per_connection([running.pid], running.port, scale.opening, sink)
    yield from _alone(running, sink, scale.alone)
    for count, measure in KEPT.items():
        if count <= most_connections:
            yield measure, _kept(running, sink, count, scale.kept)
    yield LARGE, _large(running, sink, scale.large)


def with_two_workers(running: Running, scale: Scale) -> Iterator[tuple[Measure, float]]:
    """What a peer with two workers gets through."""
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
    load = Load(running.port, connections, messages=messages // connections)
    return _send(running, sink, load)[0]


def _large(running: Running, sink: Sink, messages: int) -> float:
    return _send(running, sink, Load(running.port, 1, messages=messages, size=TEN_MEGABYTES))[0] / 1000


def _alone(running: Running, sink: Sink, messages: int) -> Iterator[tuple[Measure, float]]:
    """One client; how much longer it waits for a message's last reply than if it spoke to the sink, without TLS."""
    with Load(sink.port, 1, messages=messages, logs_in=False).paused() as client:
        direct = client.send()
    cpu, through = _send(running, sink, Load(running.port, 1, messages=messages))
    yield ALONE, cpu
    yield ADDED_P50, through.p50 - direct.p50
    yield ADDED_P99, through.p99 - direct.p99


def _send(running: Running, sink: Sink, load: Load) -> tuple[float, Outcome]:
    """What a message costs without the connection that it comes on, and how the clients fared."""
    count = load.connections * load.messages
    with load.paused() as clients:
        before = cpu_time([running.pid])
        expected = sink.count() + count
        outcome = clients.send()
        sink.wait_for(expected)
        return (cpu_time([running.pid]) - before) / count * 1e6, outcome


def _idle(running: Running, sessions: int) -> float:
    before = memory(running.pid)
    with Load(running.port, sessions).paused():
        return (memory(running.pid) - before) / sessions
