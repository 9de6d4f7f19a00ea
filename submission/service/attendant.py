"""What one process does for all: follows the mail logs into the table, serves sendmail from that, tells how all stands.

Logs are followed in a thread (logins.py), for that reads files and writes to the state; the event loop answers sendmail
and has its files written (publishing.py). When it dies, another goes on where it was: the workers read what is kept.
At a reload two of them are there for a moment; the new one follows the logs, and writes files, when the old one has
ended.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from submission.config.pop import Sendmail
from submission.config.settings import Settings
from submission.credentials.store import StoreUnavailableError
from submission.sendmail.socketmap import SocketMap
from submission.service.errors import StartError
from submission.service.logins import LoginFollower
from submission.service.maps import Maps
from submission.service.orders import Orders, heed
from submission.service.publishing import RETRY, Publisher
from submission.service.renewal import catch_up, watch
from submission.service.station import Station
from submission.service.turn import Turn
from submission.service.worker import Inheritance
from submission.smtp.admission import find_admission, open_admissions
from submission.state import State, StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState

LOCK = "attendant.lock"


def is_needed(inheritance: Inheritance) -> bool:
    """Whether there is anything to do."""
    settings = inheritance.settings
    is_enabled, has_visitors = settings.pop_before_smtp.enabled, bool(inheritance.monitoring.sockets)
    return is_enabled or has_visitors or Maps(Sendmail(), settings.state_dir).are_left


def attend(station: Station, inheritance: Inheritance) -> None:
    """Do it until told to end, or until the supervisor is gone. Raises StartError."""
    with asyncio.Runner(loop_factory=inheritance.make_loop) as runner:
        runner.run(_attend(station, inheritance))


async def _attend(station: Station, inheritance: Inheritance) -> None:
    settings, orders = inheritance.settings, heed(station)
    inheritance.monitoring.join(station.row, serves=True)
    with _translated():
        state = SqliteState(settings.state_dir / "state.db")
        server = inheritance.monitoring.serve(settings, inheritance.places, inheritance.tls, state)
    watching = asyncio.get_running_loop().create_task(watch(inheritance.tls))
    try:
        if server is not None:
            await catch_up(inheritance.tls)
            await server.start()
        if settings.pop_before_smtp.enabled:
            await _keep_grants(station, inheritance, state, orders)
        else:
            await _clear_maps(station, settings, orders)
    finally:
        if server is not None:
            server.close()
        watching.cancel()
        state.close()


async def _wait(orders: Orders, *tasks: asyncio.Task[None]) -> None:
    """Wait until told to end, or a task has ended."""
    end = asyncio.get_running_loop().create_task(orders.retire.wait())
    await asyncio.wait((*tasks, end), return_when=asyncio.FIRST_COMPLETED)
    end.cancel()


async def _clear_maps(station: Station, settings: Settings, orders: Orders) -> None:
    """Take out of sendmail's files what was there when the configuration was another, and wait for the end."""
    over = threading.Event()
    with _translated():
        maps, turn = Maps(Sendmail(), settings.state_dir), Turn(settings.state_dir / LOCK)

    def clear() -> None:
        try:
            while turn.wait(over) and not maps.write({}):
                over.wait(RETRY)
        finally:
            turn.leave()

    clearing = asyncio.get_running_loop().create_task(asyncio.to_thread(clear))
    station.announce()
    await _wait(orders)
    over.set()
    await clearing


async def _keep_grants(station: Station, inheritance: Inheritance, state: State, orders: Orders) -> None:
    """Follow the logs, and have sendmail know what follows from them, until told to end. Raises StartError."""
    settings = inheritance.settings
    with _translated():
        table = GrantTable(state)
        following = _Following(settings, table, inheritance.pop_sockets.syslog)
    maps = Maps(settings.pop_before_smtp.sendmail, settings.state_dir)
    publisher = Publisher(maps, table, open_admissions(settings, table), lambda: following.has_turn)
    await publisher.look()
    socketmaps = [
        SocketMap(sock, publisher.find, publisher.note) for sock in inheritance.pop_sockets.socketmap.values()
    ]
    for socketmap in socketmaps:
        await socketmap.start()
    loop = asyncio.get_running_loop()
    reading, publishing = loop.create_task(asyncio.to_thread(following.run)), loop.create_task(publisher.run())
    station.announce()
    await _wait(orders, reading, publishing)
    for socketmap in socketmaps:
        socketmap.close()
    fault = publishing.exception() if publishing.done() else None
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    if orders.stop.is_set():
        await publisher.withdraw()
    else:
        await publisher.settle()  # before another has the turn
    following.stop()
    await reading
    if fault is not None:
        raise fault


class _Following:
    """The logs, followed by one process at a time."""

    def __init__(self, settings: Settings, table: GrantTable, sockets: Mapping[str, socket.socket]) -> None:
        """`sockets` are those of logs that are syslog's. Raises StateUnavailableError, and OSError without a lock."""
        self._settings = settings
        self._sockets = sockets
        self._table = table
        self._over = threading.Event()
        self._turn = Turn(settings.state_dir / LOCK)
        self.has_turn = self._turn.take()
        self._follower = self._open() if self.has_turn else None

    def run(self) -> None:
        """Follow until `stop`. Blocks."""
        try:
            if self._follower is None and self._turn.wait(self._over):
                self.has_turn = True
                with _translated():
                    self._follower = self._open()
            if self._follower is not None:
                self._follower.run(self._over)
        finally:
            self._turn.leave()

    def stop(self) -> None:
        """Have `run` return soon."""
        self._over.set()

    def _open(self) -> LoginFollower:
        return LoginFollower(self._settings, find_admission(self._settings), self._table, self._sockets)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (StateUnavailableError, StoreUnavailableError) as error:
        raise StartError(str(error), os.EX_CONFIG) from error
    except OSError as error:
        raise StartError(f"state_dir: {error.strerror or error}", os.EX_UNAVAILABLE) from error
