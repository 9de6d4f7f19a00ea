"""What happens to processes while messages go through: a worker, the supervisor or the relay is killed or stopped.

One thing after the other, at moments and in an order that follow from a seed; so does for how long it lasts. A worker
that is killed again and again is replaced late, and later each time (service/station.py). So now and then it is the
supervisor, whose successor knows nothing of that.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - what is drawn has to be had again
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.faults.plans import FAULTS
from tests.support.failing_relay import FailingRelay
from tests.support.network import wait_until
from tests.support.server import Server
from tests.support.workers import is_alive

_PAUSE = (0.05, 0.6)
"""Seconds between two things, at least and at most."""
_LASTING = (0.05, 1.2)
"""Seconds that one lasts which ends by itself."""
_DEATHS = 4
"""Workers killed, after which it is the supervisor."""


class Weather:
    """A thread that does it, from `start` to `end`, and keeps count."""

    def __init__(self, seed: str, server: Server, relay: FailingRelay) -> None:
        self._random = random.Random(seed)
        self._server = server
        self._relay = relay
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._rage)
        self._deaths = 0
        self._error: Exception | None = None
        self.counts: Counter[str] = Counter()
        self.kills: list[float] = []
        """When workers were killed, by the monotonic clock."""
        self.serves = threading.Event()
        """Cleared while there is no supervisor, and nobody to connect to."""
        self.serves.set()

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Let the sun come out: everything runs and is well. Raises what went wrong here."""
        self._is_over.set()
        self._thread.join()
        self.serves.set()
        if self._error is not None:
            raise self._error

    def _rage(self) -> None:
        events: list[Callable[[], None]] = [
            self._kill_worker,
            self._stop_worker,
            self._kill_relay,
            self._stop_relay,
            self._drop_relay_connections,
            self._fail_new_relay_connections,
        ]
        try:
            while not self._is_over.wait(self._random.uniform(*_PAUSE)):
                event = self._random.choice(events) if self._deaths < _DEATHS else self._kill_supervisor
                self.counts[event.__name__.strip("_").replace("_", " ")] += 1
                event()
        except Exception as error:  # noqa: BLE001 - for whoever ends this
            self._error = error

    def _last(self) -> None:
        time.sleep(self._random.uniform(*_LASTING))  # how long it lasts is what is drawn

    def _kill_worker(self) -> None:
        workers = self._server.workers()
        if workers:
            self._deaths += 1
            os.kill(self._random.choice(workers), signal.SIGKILL)
            self.kills.append(time.monotonic())

    def _stop_worker(self) -> None:
        workers = self._server.workers()
        if workers:
            worker = self._random.choice(workers)
            os.kill(worker, signal.SIGSTOP)
            self._last()
            os.kill(worker, signal.SIGCONT)

    def _kill_supervisor(self) -> None:
        self._deaths = 0
        workers = self._server.workers()
        self.serves.clear()
        os.kill(self._server.pid, signal.SIGKILL)

        def are_gone() -> bool:
            self._relay.order("release")  # or they would wait for it where it is silent
            return not any(map(is_alive, workers))

        wait_until(are_gone)
        self._server.stop()
        self._server.start()
        self._relay.order("well")
        self.serves.set()

    def _kill_relay(self) -> None:
        self._relay.kill()
        self._last()
        self._relay.start()

    def _stop_relay(self) -> None:
        self._relay.stop()
        self._last()
        self._relay.go_on()

    def _drop_relay_connections(self) -> None:
        self._relay.order("release")
        self._last()
        self._relay.order("well")

    def _fail_new_relay_connections(self) -> None:
        self._relay.order(f"{self._random.choice(['connect', 'EHLO'])} {self._random.choice(FAULTS)}")
        self._last()
        self._relay.order("well")
