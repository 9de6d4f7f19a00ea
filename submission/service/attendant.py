"""What one process does for all: it follows the mail logs into the table, and serves sendmail from that.

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
from submission.sendmail.socketmap import SocketMap
from submission.service.errors import StartError
from submission.service.logins import LoginFollower
from submission.service.orders import heed
from submission.service.publishing import Publisher
from submission.service.supervisor import Station
from submission.smtp.admission import find_admission, open_admissions
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState


@dataclass(frozen=True, slots=True)
class Errand:
    """What was made before the fork."""

    settings: Settings
    socketmap: socket.socket | None
    """Where sendmail asks, if it does."""
    make_loop: Callable[[], asyncio.AbstractEventLoop]


def is_needed(settings: Settings) -> bool:
    """Whether there is anything to do."""
    return settings.pop_before_smtp.enabled


def attend(station: Station, errand: Errand) -> None:
    """Do it until SIGTERM, or until the supervisor is gone. Raises StartError."""
    with asyncio.Runner(loop_factory=errand.make_loop) as runner:
        runner.run(_attend(station, errand))


async def _attend(station: Station, errand: Errand) -> None:
    settings, orders = errand.settings, heed(station)
    try:
        state = SqliteState(settings.state_dir / "state.db")
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
    state.close()
