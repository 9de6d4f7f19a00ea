"""Clients by the thousand, in threads of this process: those of a soak, many of whom fail, and those that are slow."""

from __future__ import annotations

import dataclasses
import itertools
import random  # noqa: TID251 - nothing here is a secret
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.faults.plans import plans
from tests.support.failing_client import Plan, play

THINKING = 30.0
"""Seconds that a client who does nothing wrong spends at some step of its transaction, at most."""
PATIENCE = 10.0
"""Seconds that one waits for anything."""
OCTET = 1.0
"""Seconds between two octets of a slow writer."""
LONG = 100_000
"""Octets of a message that nobody ever ends."""
FOREVER = 3600.0
_STACK = 256 << 10
_STEPS = ("greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "content", "before-dot", "dot", "chunk", "chunks")


class Crowd:
    """So many threads, each of them one client after the other until `end`."""

    def __init__(self, count: int, behave: Callable[[int, threading.Event], object]) -> None:
        self._over = threading.Event()
        self.played = Counter[object]()
        """Results of `behave`, which gets the thread's number, and what is set in the end."""
        before = threading.stack_size(_STACK)
        self._threads = [threading.Thread(target=self._live, args=(number, behave)) for number in range(count)]
        for thread in self._threads:
            thread.start()
        threading.stack_size(before)

    def _live(self, number: int, behave: Callable[[int, threading.Event], object]) -> None:
        while not self._over.is_set():
            self.played[behave(number, self._over)] += 1

    def end(self) -> None:
        """Have all of them leave."""
        self._over.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def soaking(count: int, seed: str, ports: Mapping[str, int]) -> Iterator[Crowd]:
    """Clients as in a storm: different sizes, listeners and commands, a third of them fail."""
    attempts = plans(seed, ports, PATIENCE)
    lock = threading.Lock()
    draw = random.Random(seed)

    def behave(_: int, over: threading.Event) -> bool:
        with lock:
            plan, step, seconds = next(attempts), draw.choice(_STEPS), draw.uniform(0.0, THINKING)
        if not plan.fault:
            plan = dataclasses.replace(plan, step=step, fault="pause")
        return play(plan, over, lambda _: over.wait(seconds))

    crowd = Crowd(count, behave)
    try:
        yield crowd
    finally:
        crowd.end()


@contextmanager
def dawdling(writers: int, readers: int, port: int) -> Iterator[Crowd]:
    """Clients that send their message an octet a second, and others that send commands and read no reply."""
    numbers = itertools.count()

    def behave(number: int, over: threading.Event) -> bool:
        name = f"slow{next(numbers)}"
        slow = Plan(port, name, "content", "trickle", size=LONG, patience=FOREVER, pace=OCTET)
        deaf = Plan(port, name, "EHLO", "full", patience=FOREVER)
        return play(slow if number < writers else deaf, over)

    crowd = Crowd(writers + readers, behave)
    try:
        yield crowd
    finally:
        crowd.end()
