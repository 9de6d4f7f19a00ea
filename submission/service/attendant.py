"""What one process does for all: follows the mail logs into the table, serves sendmail from that, tells how all stands.

Logs are followed in a thread (logins.py), for that reads files and writes to the state; the event loop answers sendmail
and has its files written (publishing.py). When it dies, another goes on where it was: the workers read what is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from submission.config.settings import Settings
from submission.credentials.store import StoreUnavailableError
from submission.sendmail.socketmap import SocketMap
from submission.service.errors import StartError
from submission.service.logins import LoginFollower
from submission.service.monitoring import Monitoring
from submission.service.orders import Orders, heed
from submission.service.publishing import Publisher
from submission.service.renewal import catch_up, watch
from submission.service.supervisor import Station
from submission.smtp.admission import find_admission, open_admissions
from submission.smtp.places import Places
from submission.smtp.tls import ServerTls
from submission.state import State, StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState


@dataclass(frozen=True, slots=True)
class Errand:
    """What was made before the fork."""

    settings: Settings
    socketmap: socket.socket | None
    """Where sendmail asks, if it does."""
    tls: ServerTls
    places: Places
    monitoring: Monitoring
    make_loop: Callable[[], asyncio.AbstractEventLoop]

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        return self.settings.pop_before_smtp.enabled or bool(self.monitoring.sockets)


def attend(station: Station, errand: Errand) -> None:
    """Do it until SIGTERM, or until the supervisor is gone. Raises StartError."""
    with asyncio.Runner(loop_factory=errand.make_loop) as runner:
        runner.run(_attend(station, errand))


async def _attend(station: Station, errand: Errand) -> None:
    settings, orders = errand.settings, heed(station)
    errand.monitoring.join(station.number, serves=True)
    try:
        state = SqliteState(settings.state_dir / "state.db")
        server = errand.monitoring.serve(settings, errand.places, errand.tls, state)
    except (StateUnavailableError, StoreUnavailableError) as error:
        raise StartError(str(error), os.EX_CONFIG) from error
    watching = asyncio.get_running_loop().create_task(watch(errand.tls, orders.reload))
    if server is not None:
        await catch_up(errand.tls)
        await server.start()
    if settings.pop_before_smtp.enabled:
        await _keep_grants(station, errand, state, orders)
    else:
        station.announce()
        await orders.stop.wait()
    if server is not None:
        server.close()
    watching.cancel()
    state.close()


async def _keep_grants(station: Station, errand: Errand, state: State, orders: Orders) -> None:
    """Follow the logs, and have sendmail know what follows from them, until told to stop. Raises StartError."""
    settings = errand.settings
    try:
        table = GrantTable(state)
        follower = LoginFollower(settings, find_admission(settings), table)
    except StateUnavailableError as error:
        raise StartError(str(error), os.EX_CONFIG) from error
    except OSError as error:
        raise StartError(f"pop_before_smtp.logs: {error.strerror or error}", os.EX_UNAVAILABLE) from error
    publisher = Publisher(settings.pop_before_smtp.sendmail, table, open_admissions(settings, table))
    await publisher.look()
    socketmap = SocketMap(errand.socketmap, publisher.find) if errand.socketmap is not None else None
    if socketmap is not None:
        await socketmap.start()
    over = threading.Event()
    loop = asyncio.get_running_loop()
    following = loop.create_task(asyncio.to_thread(follower.run, over))
    publishing = loop.create_task(publisher.run())
    stop = loop.create_task(orders.stop.wait())
    station.announce()
    done, _ = await asyncio.wait((stop, following, publishing), return_when=asyncio.FIRST_COMPLETED)
    over.set()
    if socketmap is not None:
        socketmap.close()
    publishing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await publishing
    await following
    if stop in done:
        await publisher.withdraw()
