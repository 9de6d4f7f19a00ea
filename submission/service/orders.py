"""What the supervisor tells its children: to stop, by a signal or by being gone, and to look at what has changed."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field

from submission import logs
from submission.service.supervisor import Station


@dataclass(frozen=True, slots=True)
class Orders:
    """Each is set when it is given."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


def heed(station: Station) -> Orders:
    """Take orders from now on, in the running event loop."""
    loop = asyncio.get_running_loop()
    orders = Orders()

    def notice_its_end() -> None:
        loop.remove_reader(station.lifeline)
        logs.event("supervisor-gone", pid=os.getpid())
        orders.stop.set()

    loop.add_reader(station.lifeline, notice_its_end)
    loop.add_signal_handler(signal.SIGTERM, orders.stop.set)
    loop.add_signal_handler(signal.SIGHUP, orders.reload.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all, and the supervisor decides
    station.unblock_signals()
    return orders
