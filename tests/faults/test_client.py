"""The client fails: a column of docs/faults.md at a time, a client at each step, with two kinds of relay behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.faults.outcomes import Ground, Relay
from tests.faults.tables import columns
from tests.support.failing_client import ACKNOWLEDGED, Plan, play, start
from tests.support.processes import next_line, release
from tests.support.server import Server, Settings

TABLE = columns("The client fails")
FROM_OUTSIDE = {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}
SLOWLY = "trickle"
BY_ITSELF = [fault for fault in TABLE if fault not in (*FROM_OUTSIDE, SLOWLY)]
ENCRYPTED = [fault for fault in BY_ITSELF if fault != "half-close"]  # TLS knows no such thing: it is its end
CHUNKS = ("chunk", "chunks", "last")
HASTY, PATIENT = 1, 20
"""Seconds that the service waits: few where that is waited for, though a busy machine may stand still for as long."""


@pytest.fixture(scope="module")
def relay(any_relay: Relay) -> Relay:
    return any_relay


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest) -> Settings:
    return {"limits": {"command_timeout": request.param, "message_size": "1MiB"}}


def make_plans(server: Server, fault: str, tls: str) -> dict[str, Plan]:
    """An attempt for each cell of a column."""
    found = {}
    for step in TABLE[fault]:
        kind = "starttls" if step == "STARTTLS" else tls
        found[step] = Plan(
            port=server.ports[kind],
            name=f"{fault.replace(' ', '')}-{step}-{tls}",
            step=step,
            fault="pause" if fault in FROM_OUTSIDE else fault,
            verb="BDAT" if step in CHUNKS else "DATA",
            tls=kind,
        )
    return found


def assert_column(fault: str, plans: Mapping[str, Plan], heard: Mapping[Plan, bool], ground: Ground) -> None:
    outcomes = ground.outcomes(heard)
    assert {step: outcomes[plan] for step, plan in plans.items()} == TABLE[fault]


def run_column(fault: str, tls: str, server: Server, ground: Ground) -> None:
    """The attempts of a column, all at once."""
    plans = make_plans(server, fault, tls)
    over = threading.Event()
    with ThreadPoolExecutor(len(plans)) as executor:
        playing = {plan: executor.submit(play, plan, over) for plan in plans.values()}
        try:
            ground.wait_for_sessions(len(plans))
        finally:
            over.set()
        heard = {plan: future.result() for plan, future in playing.items()}
    assert_column(fault, plans, heard, ground)


@pytest.mark.parametrize("settings", [HASTY], indirect=True)
@pytest.mark.parametrize(
    ("fault", "tls"), [*((fault, "none") for fault in BY_ITSELF), *((fault, "implicit") for fault in ENCRYPTED)]
)
def test_by_itself(fault: str, tls: str, server: Server, ground: Ground) -> None:
    run_column(fault, tls, server, ground)


@pytest.mark.parametrize("settings", [PATIENT], indirect=True)
@pytest.mark.parametrize("tls", ["none", "implicit"])
def test_slowly(tls: str, server: Server, ground: Ground) -> None:
    run_column(SLOWLY, tls, server, ground)


@pytest.mark.parametrize("settings", [HASTY], indirect=True)
@pytest.mark.parametrize("fault", FROM_OUTSIDE)
def test_as_a_process(fault: str, server: Server, ground: Ground) -> None:
    """All are at their step; then each gets the signal. Who was only stopped goes on when the service has given up."""
    plans = make_plans(server, fault, "none")
    with ExitStack() as stack:
        clients = {}
        for plan in plans.values():
            clients[plan] = stack.enter_context(start(plan))
            stack.callback(clients[plan].kill)
        heard = {plan: next_line(process) == ACKNOWLEDGED for plan, process in clients.items()}
        for process in clients.values():
            process.send_signal(FROM_OUTSIDE[fault])
        ground.wait_for_sessions(len(plans))
        if fault == "SIGSTOP":
            for process in clients.values():
                release(process)
                process.send_signal(signal.SIGCONT)
            heard = {plan: next_line(process) == ACKNOWLEDGED for plan, process in clients.items()}
    assert_column(fault, plans, heard, ground)
