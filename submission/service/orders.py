"""What the supervisor tells its children: to stop, by a signal or by being gone, and to make way for successors."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field

from submission import logs
from submission.service.station import RETIRE, Station


@dataclass(frozen=True, slots=True)
class Orders:
    """Each is set when it is given."""

    retire: asyncio.Event = field(default_factory=asyncio.Event)
    """Accept nobody any more; serve those who are there for as long as they like."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Likewise, but end soon."""


def heed(station: Station) -> Orders:
    """Take orders from now on, in the running event loop."""
    loop = asyncio.get_running_loop()
    orders = Orders()

    def stop() -> None:
        orders.retire.set()
        orders.stop.set()

    def notice_its_end() -> None:
        loop.remove_reader(station.lifeline)
        logs.warning("supervisor-gone", pid=os.getpid())
        stop()

    loop.add_reader(station.lifeline, notice_its_end)
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(RETIRE, orders.retire.set)
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all, and the supervisor decides
        signal.signal(number, signal.SIG_IGN)
    station.unblock_signals()
    return orders
