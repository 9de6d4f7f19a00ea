"""The relay fails: a column of docs/faults.md at a time, a transaction at each step; in the clear, and under TLS.

Where it fails before MAIL nobody can tell its transactions apart, so there it is one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest

from tests.faults.outcomes import Ground
from tests.faults.tables import columns
from tests.support.failing_client import Plan, play
from tests.support.failing_relay import FailingRelay
from tests.support.network import PATIENCE
from tests.support.server import Server, Settings

TABLE = columns("The relay fails")
OPENING = ("connect", "EHLO", "STARTTLS")
CHUNKS = ("chunk", "last")
MOST = 16
"""Clients at a time."""
PROMPT = 400
LARGE = 12 << 20
"""Octets that no row of buffers holds."""


@pytest.fixture(scope="module", params=["none", "starttls"])
def tls(request: pytest.FixtureRequest) -> str:
    mode: str = request.param
    return mode


@pytest.fixture(scope="module")
def settings(tls: str) -> Settings:
    # A dozen connect at once, and a busy machine may well stand still for a second.
    return {"relay": {"tls": tls, "connect_timeout": 3, "final_timeout": 1}}


@pytest.fixture(autouse=True)
def well(failing_relay: FailingRelay, ground: Ground) -> Iterator[None]:
    """Both begin and end well, whatever happens between."""
    ground.recover()
    yield
    failing_relay.order("well")
    ground.recover()


@contextmanager
def playing(may_go_on: threading.Event) -> Iterator[Callable[[Plan], Future[bool]]]:
    """Starts clients that do nothing wrong; who waits in the middle of a message does so until he may go on."""
    with ThreadPoolExecutor(MOST) as executor:
        try:
            yield lambda plan: executor.submit(play, plan, threading.Event(), lambda _: may_go_on.wait(PATIENCE))
        finally:
            may_go_on.set()


def make_plan(server: Server, tls: str, fault: str, step: str) -> Plan:
    """A client whose transaction fails by its sender's name, and who sends no more before that has happened."""
    how = {"kill -9": "wait", "SIGSTOP": "wait"}.get(fault, fault)
    name = f"{fault.replace(' ', '')}-{step}-{tls}.{how}.{step}"
    pauses = ("content", "pause") if step == "content" else ("", "")
    verb = "BDAT" if step in CHUNKS else "DATA"
    size = LARGE if (step, fault) == ("content", "full") else PROMPT
    return Plan(server.ports["none"], name, *pauses, verb=verb, size=size)


@contextmanager
def hit(fault: str, relay: FailingRelay) -> Iterator[None]:
    """The relay's process is hit, where that is the fault; in the end it serves again."""
    if fault == "kill -9":
        relay.kill()
    elif fault == "SIGSTOP":
        relay.stop()
    try:
        yield
    finally:
        if fault == "kill -9":
            relay.start()
        elif fault == "SIGSTOP":
            relay.go_on()


@pytest.mark.parametrize("fault", TABLE)
def test_in_a_transaction(fault: str, tls: str, server: Server, failing_relay: FailingRelay, ground: Ground) -> None:
    expected = {step: word for step, word in TABLE[fault].items() if step not in OPENING}
    plans = {step: make_plan(server, tls, fault, step) for step in expected}
    may_go_on = threading.Event()
    attempts = {}
    with playing(may_go_on) as start:
        for is_last in (False, True):  # once it has replied, the relay stops on a connection that the service keeps
            wave = [plan for step, plan in plans.items() if (step == "reply") is is_last]
            attempts |= {plan: start(plan) for plan in wave}
            failing_relay.wait_for(*(plan.name for plan in wave))
        with hit(fault, failing_relay):
            ground.go_round()
            may_go_on.set()
            wait([attempts[plans[step]] for step, word in expected.items() if not word.startswith("waits")], PATIENCE)
            waiting = {plan for plan, attempt in attempts.items() if not attempt.done()}
        while not all(attempt.done() for attempt in attempts.values()):
            failing_relay.order("release")  # again for who came to his step again
        heard = {plan: attempt.result() for plan, attempt in attempts.items()}
    outcomes = ground.outcomes(heard)
    found = {step: ("waits, " if plan in waiting else "") + outcomes[plan] for step, plan in plans.items()}
    assert found == expected


@pytest.mark.parametrize("fault", TABLE)
def test_before_a_transaction(
    fault: str, tls: str, server: Server, failing_relay: FailingRelay, ground: Ground
) -> None:
    expected = {step: TABLE[fault][step] for step in OPENING if step != "STARTTLS" or tls == "starttls"}
    found = {}
    for step in expected:
        plan = make_plan(server, tls, fault, step)
        failing_relay.order(f"{step} {plan.name.split('.')[1]}")
        with playing(threading.Event()) as start:
            attempt = start(plan)
            failing_relay.wait_for_connection(step)
            with hit(fault, failing_relay):
                heard = {plan: attempt.result(PATIENCE)}
        found[step] = ground.outcomes(heard)[plan]
        failing_relay.order("well")
        ground.recover()
    assert found == expected
