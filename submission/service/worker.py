"""What one worker does: listeners, relay connections and an authenticator on an event loop of its own, then a drain.

The loop, the store's database and the threads that hash passwords are made in here: none of them survives a fork. What
the supervisor made before is shared by all workers: sockets, TLS contexts (so that a ticket from one resumes a session
on another), and the count of clients.
"""

from __future__ import annotations

import asyncio
import asyncio.selector_events
import asyncio.sslproto
import functools
import importlib
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from submission import logs
from submission.config.settings import Listen, Settings
from submission.credentials import derive_key, open_authenticator
from submission.credentials.authenticator import Authenticator
from submission.credentials.store import StoreUnavailableError
from submission.relay.pipe import RelayError
from submission.relay.pool import Pool
from submission.service.errors import StartError
from submission.service.limiting import close_limiting, keep_releasing, open_limiting
from submission.service.memory import give_back
from submission.service.monitoring import Monitoring
from submission.service.orders import heed
from submission.service.pop_sockets import PopSockets
from submission.service.renewal import catch_up, watch
from submission.service.station import Station
from submission.smtp.admission import open_admissions
from submission.smtp.in_doubt import InDoubt
from submission.smtp.listener import Listener, Shared
from submission.smtp.places import Places
from submission.smtp.sessions import Sessions
from submission.smtp.tls import ServerTls
from submission.state import State, StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.penalties import KEY_PURPOSE, PenaltyTable
from submission.state.sqlite import SqliteState

DRAIN = 30.0
"""Seconds that transactions have to end in once the service is told to stop."""
SWEEP = 15.0
"""Seconds between looks at what is idle or has ended: the relay's connections, and what is kept for a time."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What was made before the fork, for all workers."""

    settings: Settings
    sockets: Sequence[tuple[Listen, socket.socket]]
    pop_sockets: PopSockets
    tls: ServerTls
    places: Places
    users: Places
    """Of the connections that each user has."""
    in_doubt: InDoubt
    monitoring: Monitoring
    workers: int
    threads: int
    """How many hash passwords in each worker."""
    make_loop: Callable[[], asyncio.AbstractEventLoop]
    shows_dialogue: bool


def find_event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """The best event loop that is installed."""
    try:
        import uvloop
    except ImportError:
        _fit_buffers()
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def warm_up() -> None:
    """Load what would be loaded at its first use."""
    for name in ("encodings.idna", "stringprep", "concurrent.futures.thread", "asyncio.staggered", "zoneinfo"):
        importlib.import_module(name)


def work(station: Station, inheritance: Inheritance) -> None:
    """Serve until SIGTERM, or until the supervisor is gone, and drain; or until told to retire, and nobody is left.

    Raises StartError.
    """
    # A thread that hashes in Python gives way to the event loop after half a millisecond, not after five.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=inheritance.make_loop) as runner:
        runner.run(_serve(station, inheritance))


def _fit_buffers() -> None:
    """Have asyncio's own transports read into smaller buffers, which it sizes for bulk transfers and makes anew.

    256 KiB for each read, and as much to keep for each connection with TLS, would be half of the CPU and nine tenths
    of the memory. There is no option for it. uvloop's are smaller.
    """
    if hasattr(asyncio.selector_events, "_SelectorSocketTransport"):
        asyncio.selector_events._SelectorSocketTransport.max_size = 64 << 10
    if hasattr(asyncio.sslproto.SSLProtocol, "max_size"):
        asyncio.sslproto.SSLProtocol.max_size = 32 << 10


async def _serve(station: Station, inheritance: Inheritance) -> None:
    inheritance.monitoring.join(station.row)
    orders = heed(station)
    shared, state = _open(inheritance, station.row)
    sessions = Sessions(inheritance.places.row(station.row))
    listeners = [
        Listener(
            listen,
            sock,
            shared,
            sessions,
            None if listen.tls == "none" else functools.partial(inheritance.tls.context, listen.tls_minimum),
        )
        for listen, sock in inheritance.sockets
    ]
    asking = asyncio.ensure_future(_ask_relay(shared.pool))
    keeping = [_sweep(shared, state, sessions), keep_releasing(shared.limiting), watch(inheritance.tls)]
    tasks = [asking, *map(asyncio.ensure_future, keeping)]
    # A relay that keeps us waiting for its greeting keeps nobody from stopping us.
    await _first(orders.retire.wait(), asking)
    if not orders.retire.is_set():
        await catch_up(inheritance.tls)
        await _look(shared.authenticator)
        for listener in listeners:
            await listener.start()
        station.announce()
    await orders.retire.wait()
    for listener in listeners:
        await listener.stop()
    await _first(orders.stop.wait(), sessions.wait())
    await sessions.drain(DRAIN)
    for task in tasks:
        task.cancel()
    await _close(shared, state)


def _open(inheritance: Inheritance, row: int) -> tuple[Shared, State]:
    """What the sessions need, and the state that is behind it. Raises StartError."""
    settings = inheritance.settings
    try:
        authenticator = open_authenticator(settings, inheritance.threads)
        state = SqliteState(settings.state_dir / "state.db")
        table = GrantTable(state)
        shared = Shared(
            settings,
            Pool(settings.relay, settings.hostname, inheritance.workers),
            authenticator,
            lambda: _local_time(int(time.time())),
            PenaltyTable(state, derive_key(settings, KEY_PURPOSE)),
            open_admissions(settings, table, authenticator.is_shut_out),
            limiting=open_limiting(settings, state, authenticator, inheritance.users.row(row)),
            notes=inheritance.in_doubt.row(row),
            shows_dialogue=inheritance.shows_dialogue,
        )
    except (StoreUnavailableError, StateUnavailableError) as error:
        raise StartError(str(error), os.EX_CONFIG) from error
    return shared, state


async def _close(shared: Shared, state: State) -> None:
    """Let go of all that, when what is still to be noted is."""
    await shared.admissions.settle()
    shared.pool.close()
    await asyncio.to_thread(close_limiting, shared.limiting)
    shared.authenticator.close()
    state.close()


async def _first(*awaitables: Awaitable[object]) -> None:
    """Wait for whatever comes first, and for nothing else any more; what is a task already goes on."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, awaitable in zip(tasks, awaitables, strict=True):
        if task is not awaitable:
            task.cancel()


@functools.lru_cache(maxsize=1)  # many messages fall into one second
def _local_time(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).astimezone()


async def _ask_relay(pool: Pool) -> None:
    """Learn what the relay offers. One that doesn't answer yet is no reason not to start: clients get a 451."""
    try:
        pool.keep(await pool.connect())
    except RelayError as error:
        logs.warning("relay-unreachable", reason=str(error))


async def _look(authenticator: Authenticator) -> None:
    """Learn which mechanisms not every login can use, and tell the log when that changes."""
    before = authenticator.held_back
    try:
        await authenticator.look()
    except StoreUnavailableError as error:
        logs.failure("store-unavailable", error)
    if authenticator.held_back != before:
        names = ",".join(sorted(need.name for need in authenticator.held_back)) or "nothing"
        logs.event("held-back", mechanisms=names, reason="some logins have no keys for them yet")


async def _sweep(shared: Shared, state: State, sessions: Sessions) -> None:
    while True:
        await shared.admissions.look_up()
        await asyncio.sleep(SWEEP)
        logs.flush()
        shared.pool.sweep()
        try:
            await asyncio.to_thread(state.sweep, time.time())
        except StateUnavailableError as error:
            logs.failure("state-unavailable", error)
        await _look(shared.authenticator)
        if sessions.is_empty:
            await give_back()
        if not shared.pool.extensions:  # it was started after us, and clients are offered less than it has
            await _ask_relay(shared.pool)
