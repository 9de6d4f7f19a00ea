"""Attempts at random: who fails where, on which listener, by which command, with how much."""

from __future__ import annotations

import random  # noqa: TID251 - what is drawn has to be had again
from collections.abc import Iterator, Mapping
from itertools import count

from tests.faults.tables import columns
from tests.support.failing_client import Plan

FAULTS = ("close", "reset", "half-close", "silence", "garbage", "trickle", "full")
"""Those that both a client and the relay can commit by themselves."""
FROM_OUTSIDE = ("kill -9", "SIGSTOP")
"""Those of a client that is a process of its own."""
CLIENT_FAULT, RELAY_FAULT = 0.35, 0.25
"""The share of clients that fail, and of messages that make the relay fail."""
OPENING = ("connect", "EHLO", "STARTTLS")
"""Where the relay doesn't know yet whose transaction it will be."""

_SIZES = (400, 400, 400, 5_000, 5_000, 100_000, 600_000)
_KINDS = ("none", "none", "none", "starttls", "implicit")


def plans(seed: str, ports: Mapping[str, int], patience: float, from_outside: float = 0.0) -> Iterator[Plan]:
    """Attempts without end, number by number the same for the same seed.

    `from_outside` is the share of failing clients that something is done to, instead of doing it themselves.
    """
    draw = random.Random(seed)
    of_clients, of_relay = columns("The client fails"), columns("The relay fails")
    for number in count():
        kind, verb, size = draw.choice(_KINDS), draw.choice(("DATA", "BDAT")), draw.choice(_SIZES)
        name, step, fault = f"m{number}", "", ""
        if draw.random() < CLIENT_FAULT:
            fault = draw.choice(FROM_OUTSIDE if draw.random() < from_outside else FAULTS)
            step = draw.choice(list(of_clients[fault]))
        if draw.random() < RELAY_FAULT:
            relay_fault = draw.choice(FAULTS)
            name += f".{relay_fault}.{draw.choice([step for step in of_relay[relay_fault] if step not in OPENING])}"
        if fault == "trickle":
            size = min(_SIZES)  # or it would take an hour
        yield Plan(ports[kind], name, step, fault, verb, kind, size, patience)
