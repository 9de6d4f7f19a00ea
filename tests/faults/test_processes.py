"""The service's own processes fail: a column of docs/faults.md at a time, a client at each step."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.faults.outcomes import Ground, Relay
from tests.faults.tables import columns
from tests.support.failing_client import Plan, play
from tests.support.failing_relay import FailingRelay
from tests.support.network import PATIENCE, wait_until
from tests.support.server import Server, Settings
from tests.support.workers import is_alive

TABLE = columns("The service fails")
CHUNKS = ("chunk", "chunks", "last")
HELD = ("dot", "kept", "last")
"""Where the relay has to wait with its reply; a real one doesn't."""


@pytest.fixture(scope="module")
def relay(any_relay: Relay) -> Relay:
    return any_relay


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"workers": 2}


def make_plan(server: Server, column: str, step: str) -> Plan:
    """A client who waits at its step; so does the relay where that step is the relay's."""
    held = f".wait.{step}" if step in HELD else ""
    kind = "starttls" if step == "STARTTLS" else "none"
    return Plan(
        port=server.ports[kind],
        name=f"{column.replace(' ', '')}-{step}{held}",
        step="dot" if step == "kept" else step,
        fault="pause",
        verb="BDAT" if step in CHUNKS else "DATA",
        tls=kind,
    )


@contextmanager
def hit(column: str, ground: Ground) -> Iterator[None]:
    """Processes are hit; in the end those that were stopped run again."""
    server = ground.server
    workers = server.workers()
    pids = {"worker": workers, "supervisor": [server.pid], "all": [server.pid, *workers]}[column.split()[0]]
    is_stop = column.endswith("SIGSTOP")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP if is_stop else signal.SIGKILL)
    if column == "worker kill -9":
        wait_until(lambda: len(ground.events.all("worker-died")) == len(workers))
    elif column == "supervisor kill -9":
        # The workers drain: who is in no transaction is sent away.
        ground.wait_for_sessions(sum(step == "reply" or word == "nothing" for step, word in TABLE[column].items()))
    try:
        yield
    finally:
        if is_stop:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def restart(server: Server, workers: list[int]) -> None:
    """Have a supervisor again, once the workers of the one before have ended, be it by themselves."""
    wait_until(lambda: not any(map(is_alive, workers)))
    assert server.stop() == -signal.SIGKILL
    server.start()


@pytest.mark.parametrize("column", TABLE)
def test_column(column: str, server: Server, relay: Relay, ground: Ground) -> None:
    is_real = not isinstance(relay, FailingRelay)
    expected = {step: word for step, word in TABLE[column].items() if not (is_real and step in HELD)}
    plans = {step: make_plan(server, column, step) for step in expected}
    workers = server.workers()
    there, may_go_on = threading.Semaphore(0), threading.Event()

    def pause(_: bool) -> None:
        there.release()
        may_go_on.wait(PATIENCE)

    with ThreadPoolExecutor(len(plans)) as executor:
        attempts = {plan: executor.submit(play, plan, threading.Event(), pause) for plan in plans.values()}
        try:
            for _ in plans:
                assert there.acquire(timeout=PATIENCE)
            if isinstance(relay, FailingRelay):
                relay.wait_for(*(plans[step].name for step in HELD))
            with hit(column, ground):
                may_go_on.set()
                if isinstance(relay, FailingRelay):
                    relay.order("release")
        finally:
            may_go_on.set()
        heard = {plan: attempt.result() for plan, attempt in attempts.items()}
    if column in ("supervisor kill -9", "all kill -9"):
        restart(server, workers)
    if isinstance(relay, FailingRelay):
        relay.order("well")
    ground.recover()
    outcomes = ground.outcomes(heard)
    assert {step: outcomes[plan] for step, plan in plans.items()} == expected
