"""The running service: builds its parts from the settings, binds, drops root, and has workers serve.

The order is what matters. Everything that root is needed for, or that reads files which only root may read, comes
before the drop: sockets, certificate and key. Everything that keeps files comes after it, so that they belong to
the user who will write them. What all workers share comes before the fork, everything else after it: worker.py.
"""

from __future__ import annotations

import gc
import importlib
import os
import pwd
import resource
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from submission import logs
from submission.config.settings import Listen, Settings, reaches
from submission.config.values import UnixAddress
from submission.credentials import warm_up
from submission.credentials.store import StoreUnavailableError
from submission.service.attendant import Errand, attend
from submission.service.errors import StartError
from submission.service.monitoring import open_monitoring
from submission.service.supervisor import Station, Supervisor
from submission.service.worker import DRAIN, Inheritance, find_event_loop, work
from submission.smtp.pem import CertificateError
from submission.smtp.places import Places
from submission.smtp.sockets import BindError, address_of, bind, bind_all
from submission.smtp.tls import ServerTls

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StartError", "run"]

LATE = 5.0
"""Seconds that a worker may be late to end after its drain, before it is killed."""
SPARE_DESCRIPTORS = 256
"""File descriptors that a worker needs beside those of its clients and of the relay."""


def run(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Run until SIGTERM or SIGINT. `on_ready` is called once every worker accepts. Raises StartError."""
    sockets = _bind(settings)
    socketmap = _bind_socketmap(settings)
    tls = _open_tls(settings)
    cpus = _cpus()
    workers = settings.workers or cpus
    monitoring = open_monitoring(settings, workers + 1)
    _load_everything(settings)
    make_loop = find_event_loop()
    _raise_descriptor_limit(2 * settings.limits.connections + SPARE_DESCRIPTORS)
    drop_root(settings.user)
    places = Places(workers, settings.limits)
    threads = max(2, cpus // workers)  # a few more in all than there are CPUs, for logins come unevenly
    inheritance = Inheritance(settings, sockets, tls, places, monitoring, workers, threads, make_loop)
    errand = Errand(settings, socketmap, tls, places, monitoring, make_loop)

    def serve(station: Station) -> None:
        if station.number < workers:
            work(station, inheritance)
        else:
            attend(station, errand)

    def forget(number: int) -> None:
        if number < workers:
            places.clear(number)

    gc.freeze()  # what is there now stays: no collector need look at it, or write to what the workers share
    supervisor = Supervisor(
        workers + errand.is_needed,
        serve,
        sockets=[*(sock for _, sock in sockets), *monitoring.sockets],
        forget=forget,
        patience=DRAIN + LATE,
    )
    supervisor.run(on_ready)


def _bind(settings: Settings) -> list[tuple[Listen, socket.socket]]:
    try:
        sockets = bind_all(settings.listen)
    except BindError as error:
        raise StartError(str(error), os.EX_UNAVAILABLE) from error
    for listen, sock in sockets:  # where systemd's are, the settings couldn't know
        if reaches(settings.relay.address, address_of(sock)):
            text = f'relay.address: "{settings.relay.address}" is a listener of our own, "{listen.address}"'
            raise StartError(text, os.EX_CONFIG)
    return sockets


def _bind_socketmap(settings: Settings) -> socket.socket | None:
    """Where sendmail asks, made while root may make it anywhere."""
    pop = settings.pop_before_smtp
    path = pop.sendmail.socketmap
    if not pop.enabled or path is None:
        return None
    try:
        return bind(UnixAddress(path))
    except BindError as error:
        raise StartError(f"pop_before_smtp.sendmail.socketmap: {error}", os.EX_UNAVAILABLE) from error


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


def _load_everything(settings: Settings) -> None:
    """Load what would be loaded at its first use: the files of Python may be out of reach once root is dropped."""
    for name in ("encodings.idna", "stringprep", "concurrent.futures.thread", "asyncio.staggered", "zoneinfo"):
        importlib.import_module(name)
    try:
        warm_up(settings)
    except StoreUnavailableError as error:
        raise StartError(str(error), os.EX_SOFTWARE) from error


def _raise_descriptor_limit(needed: int) -> None:
    """Have room for as many connections as are allowed: the usual limit, 1024, is there for programs of old."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed < needed:
        logs.event("few-descriptors", limit=hard, needed=needed)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open_tls(settings: Settings) -> ServerTls:
    """TLS for all listeners, while root can still read every key."""
    try:
        return ServerTls(settings.tls, settings.tls_minimums, datetime.now(UTC))
    except CertificateError as error:
        raise StartError(str(error), os.EX_CONFIG) from error
