"""The running service: builds its parts from the settings, binds, drops root, serves, and drains.

The order is what matters. Everything that root is needed for, or that reads files which only root may read, comes
before the drop: sockets, certificate and key. Everything that keeps files comes after it, so that they belong to
the user who will write them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import pwd
import signal
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from submission import logs
from submission.config.settings import Listen, Settings
from submission.credentials import open_authenticator, warm_up
from submission.credentials.store import StoreUnavailableError
from submission.relay.upstream import Pool, RelayError
from submission.smtp.listener import BindError, Listener, Sessions, Shared, bind
from submission.smtp.pem import CertificateError
from submission.smtp.tls import ServerTls

if TYPE_CHECKING:
    from collections.abc import Callable

DRAIN = 30.0
"""Seconds that transactions have to end in once the service is told to stop."""
SWEEP = 15.0
"""Seconds between looks at the relay's idle connections."""
WATCH = 5.0
"""Seconds between looks at the files of certificates and keys."""


class StartError(Exception):
    """The service can't start. `code` is a sysexits number, the text is for the admin."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def run(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Run until SIGTERM or SIGINT. `on_ready` is called once every listener accepts. Raises StartError."""
    try:
        sockets = [(listen, bind(listen)) for listen in settings.listen]
    except BindError as error:
        raise StartError(str(error), os.EX_UNAVAILABLE) from error
    tls = _open_tls(settings)
    _load_everything()
    drop_root(settings.user)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, sockets, tls, on_ready))


def drop_root(user: str) -> None:
    """Become `user` for good, with its groups; nothing to do for a process that isn't root's."""
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise StartError(
            f"there is no user {user!r} to run as: create it (useradd --system {user}) or name another with user =",
            os.EX_NOUSER,
        ) from None
    if entry.pw_uid == 0:
        raise StartError("the service doesn't run as root: name another user with user =", os.EX_NOPERM)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.umask(0o077)


def _load_everything() -> None:
    """Load what would be loaded at its first use: the files of Python may be out of reach once root is dropped."""
    for name in ("encodings.idna", "stringprep", "concurrent.futures.thread", "asyncio.staggered", "zoneinfo"):
        importlib.import_module(name)
    try:
        warm_up()
    except StoreUnavailableError as error:
        raise StartError(str(error), os.EX_SOFTWARE) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _open_tls(settings: Settings) -> ServerTls:
    """TLS for all listeners, while root can still read every key."""
    try:
        return ServerTls(settings.tls, settings.tls_minimums, datetime.now(UTC))
    except CertificateError as error:
        raise StartError(str(error), os.EX_CONFIG) from error


async def _serve(
    settings: Settings,
    sockets: list[tuple[Listen, socket.socket]],
    tls: ServerTls,
    on_ready: Callable[[], None],
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    hangup = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    pool = Pool(settings.relay, settings.hostname)
    try:
        authenticator = open_authenticator(settings)
    except StoreUnavailableError as error:
        raise StartError(str(error), os.EX_CONFIG) from error
    shared = Shared(settings, pool, authenticator, lambda: datetime.now(UTC).astimezone())
    sessions = Sessions(settings)
    listeners = [
        Listener(listen, sock, shared, sessions, tls.context(listen.tls_minimum) if listen.tls != "none" else None)
        for listen, sock in sockets
    ]
    if tls.has_changed():  # since it was made, which is long ago for a process that takes another's place
        reload(tls)
    await _ask_relay(pool)
    for listener in listeners:
        await listener.start()
    on_ready()
    _notify(b"READY=1")
    sweeping, watching = loop.create_task(_sweep(pool)), loop.create_task(_watch(tls, hangup))
    await stopping.wait()
    logs.event("stopping")
    _notify(b"STOPPING=1")
    for listener in listeners:
        listener.stop()
    await sessions.drain(DRAIN)
    sweeping.cancel()
    watching.cancel()
    pool.close()
    authenticator.close()


def _notify(state: bytes) -> None:
    """Tell the supervisor how things stand, if it asked to be told (sd_notify(3)); @ begins an abstract socket."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.sendto(state, address.replace("@", "\0", 1) if address.startswith("@") else address)


async def _ask_relay(pool: Pool) -> None:
    """Learn what the relay offers. One that doesn't answer yet is no reason not to start: clients get a 451."""
    try:
        pool.keep(await pool.connect())
    except RelayError as error:
        logs.event("relay-unreachable", reason=str(error))


async def _sweep(pool: Pool) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        pool.sweep()
        if not pool.extensions:  # it was started after us, and clients are offered less than it has
            await _ask_relay(pool)


async def _watch(tls: ServerTls, hangup: asyncio.Event) -> None:
    """Take renewed certificates: as soon as we are told to, or when a file has changed."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH):
                await hangup.wait()
        if hangup.is_set() or await asyncio.to_thread(tls.has_changed):
            hangup.clear()
            await asyncio.to_thread(reload, tls)


def reload(tls: ServerTls) -> None:
    """Serve what the files of certificates and keys hold now, or go on as before and log why."""
    try:
        tls.reload(datetime.now(UTC))
    except CertificateError as error:
        logs.event("certificate-refused", reason=str(error))
