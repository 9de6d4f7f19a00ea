"""What one process does for all: it follows the mail logs into the table, and serves sendmail from that.

Logs are followed in a thread (logins.py), for that reads files and writes to the state; the event loop answers sendmail
and has its files written (publishing.py). When it dies, another goes on where it was: the workers read what is kept.
At a reload two of them are there for a moment; the new one follows the logs when the old one has ended.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from submission.config.settings import Settings
from submission.sendmail.socketmap import SocketMap
from submission.service.errors import StartError
from submission.service.logins import LoginFollower
from submission.service.orders import heed
from submission.service.publishing import Publisher
from submission.service.supervisor import Station
from submission.service.turn import Turn
from submission.service.worker import Inheritance
from submission.smtp.admission import find_admission, open_admissions
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState


def is_needed(settings: Settings) -> bool:
    """Whether there is anything to do."""
    return settings.pop_before_smtp.enabled


def attend(station: Station, inheritance: Inheritance) -> None:
    """Do it until told to end, or until the supervisor is gone. Raises StartError."""
    with asyncio.Runner(loop_factory=inheritance.make_loop) as runner:
        runner.run(_attend(station, inheritance))


async def _attend(station: Station, inheritance: Inheritance) -> None:
    settings, orders = inheritance.settings, heed(station)
    with _translated():
        state = SqliteState(settings.state_dir / "state.db")
        table = GrantTable(state)
        following = _Following(settings, table)
    publisher = Publisher(settings.pop_before_smtp.sendmail, table, open_admissions(settings, table))
    await publisher.look()
    socketmap = SocketMap(inheritance.socketmap, publisher.find) if inheritance.socketmap is not None else None
    if socketmap is not None:
        await socketmap.start()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(asyncio.to_thread(following.run)), loop.create_task(publisher.run())]
    end = loop.create_task(orders.retire.wait())
    station.announce()
    await asyncio.wait((*tasks, end), return_when=asyncio.FIRST_COMPLETED)
    if socketmap is not None:
        socketmap.close()
    following.stop()
    for task in (tasks[1], end):
        task.cancel()
    await asyncio.gather(tasks[1], end, return_exceptions=True)
    if orders.stop.is_set():
        await publisher.withdraw()
    try:
        await tasks[0]
    finally:
        state.close()


class _Following:
    """The logs, followed by one process at a time."""

    def __init__(self, settings: Settings, table: GrantTable) -> None:
        """What can't be had is told at once, if nobody else has it: raises StateUnavailableError and OSError."""
        self._settings = settings
        self._table = table
        self._over = threading.Event()
        self._turn = Turn(settings.state_dir / "attendant.lock")
        self._follower = self._open() if self._turn.take() else None

    def run(self) -> None:
        """Follow until `stop`. Blocks."""
        try:
            if self._follower is None and self._turn.wait(self._over):
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
        return LoginFollower(self._settings, find_admission(self._settings), self._table)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StateUnavailableError as error:
        raise StartError(str(error), os.EX_CONFIG) from error
    except OSError as error:
        raise StartError(f"pop_before_smtp.logs: {error.strerror or error}", os.EX_UNAVAILABLE) from error
