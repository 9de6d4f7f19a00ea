"""The workers of one configuration, with their attendant, and those of the next.

What root is needed for was done at the start, once: a reload is the service's user's, who can't bind ports below 1024,
and may not be able to read a key, or the configuration. Then it is refused, and says why.

A successor takes over what it can: the sockets of listeners that stay, and TLS with the keys of its session tickets,
unless [tls] is another. The places of clients are the same memory for all crews, so that limits count everybody.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from submission import logs
from submission.config import ConfigError
from submission.config.settings import Listen, Settings, reaches
from submission.config.values import SystemdAddress, UnixAddress
from submission.credentials import warm_up
from submission.credentials.store import StoreUnavailableError
from submission.service import attendant, worker
from submission.service.errors import StartError
from submission.service.pop_sockets import open_pop_sockets
from submission.service.station import Station
from submission.service.worker import Inheritance
from submission.smtp.pem import CertificateError, UnreadableError
from submission.smtp.sockets import BindError, address_of, bind, bind_all
from submission.smtp.tls import ServerTls

SPARE_DESCRIPTORS = 256
"""File descriptors that a worker needs beside those of its clients and of the relay."""
FIXED = ("user", "state_dir", "metrics")
"""Settings that only a restart changes."""

Sockets = Sequence[tuple[Listen, socket.socket]]


@dataclass(frozen=True, slots=True)
class WorkerCrew:
    """What the supervisor knows them by."""

    inheritance: Inheritance
    read: Callable[[], Settings]
    """Reads the configuration. Raises ConfigError."""

    @property
    def count(self) -> int:
        """How many they are."""
        return self.inheritance.workers + attendant.is_needed(self.inheritance)

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """What they are asked by."""
        inheritance = self.inheritance
        clients = [sock for _, sock in inheritance.sockets]
        return [*clients, *inheritance.pop_sockets.all, *inheritance.monitoring.sockets]

    def begin(self) -> None:
        """Log as the configuration says."""
        log = self.inheritance.settings.log
        logs.configure(log.format, facility=log.syslog)

    def work(self, station: Station) -> None:
        """Serve clients; the last of them does what is there for one alone."""
        work = worker.work if station.number < self.inheritance.workers else attendant.attend
        work(station, self.inheritance)

    def renew(self) -> WorkerCrew:
        """The crew of the configuration as it is now. Raises StartError."""
        former = self.inheritance
        try:
            settings = self.read()
        except ConfigError as error:
            raise StartError(str(error), os.EX_CONFIG) from error
        _refuse_fixed(former.settings, settings)
        load_everything(settings)
        raise_descriptor_limit(settings)
        workers, threads = count_workers(settings)
        tls = _renew_tls(former, settings)
        sockets = _renew_sockets(former.sockets, settings)
        try:
            pop_sockets = open_pop_sockets(settings, former.pop_sockets)
        except StartError:
            _close_new(sockets, former.sockets)
            raise
        former.monitoring.extend(settings)
        inheritance = replace(
            former,
            settings=settings,
            tls=tls,
            sockets=sockets,
            pop_sockets=pop_sockets,
            places=former.places.limited(settings.limits.connections, settings.limits.connections_per_ip),
            users=former.users.limited(settings.limits.connections, settings.limits.user.connections),
            workers=workers,
            threads=threads,
        )
        gc.unfreeze()
        gc.collect()  # what earlier crews had: TLS contexts know who chooses among them, and he knows them
        gc.freeze()
        return WorkerCrew(inheritance, self.read)


def open_sockets(settings: Settings) -> Sockets:
    """The sockets of all listeners. Raises StartError."""
    try:
        sockets = bind_all(settings.listen)
    except BindError as error:
        raise StartError(str(error), os.EX_UNAVAILABLE) from error
    _refuse_loops(sockets, settings)
    return sockets


def open_tls(settings: Settings) -> ServerTls:
    """TLS for all listeners. Raises StartError."""
    try:
        return ServerTls(settings.tls, settings.tls_minimums, datetime.now(UTC))
    except CertificateError as error:
        raise StartError(str(error), os.EX_CONFIG) from error


def load_everything(settings: Settings) -> None:
    """Load what would be loaded at its first use: the files of Python may be out of reach once root is dropped."""
    try:
        worker.warm_up()
        warm_up(settings)
    except StoreUnavailableError as error:
        raise StartError(str(error), os.EX_SOFTWARE) from error
    except ImportError as error:
        raise StartError(f"a restart is needed, which loads {error.name} as root: {error}", os.EX_CONFIG) from error


def raise_descriptor_limit(settings: Settings) -> None:
    """Have room for as many connections as are allowed: the usual limit, 1024, is there for programs of old."""
    needed = 2 * settings.limits.connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed < needed:
        logs.warning("few-descriptors", limit=hard, needed=needed)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def count_workers(settings: Settings) -> tuple[int, int]:
    """How many workers there are, and how many threads hash passwords in each."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = settings.workers or cpus
    return workers, max(2, cpus // workers)  # a few more in all than there are CPUs, for logins come unevenly


def _refuse_fixed(former: Settings, settings: Settings) -> None:
    changed = [key for key in FIXED if getattr(former, key) != getattr(settings, key)]
    if changed:
        raise StartError(f"a restart is needed for what changed: {', '.join(changed)}", os.EX_CONFIG)


def _renew_tls(former: Inheritance, settings: Settings) -> ServerTls:
    """The same, with certificates as the files have them now; another one only where it has to be. Raises StartError.

    A key that only root can read is no fault of the configuration: it stays, and the log tells.
    """
    before = former.settings
    if (settings.tls, settings.tls_minimums) != (before.tls, before.tls_minimums):
        return open_tls(settings)
    try:
        former.tls.reload(datetime.now(UTC))
    except UnreadableError as error:
        logs.warning("certificate-refused", reason=str(error))
    except CertificateError as error:
        raise StartError(str(error), os.EX_CONFIG) from error
    return former.tls


def _renew_sockets(former: Sockets, settings: Settings) -> Sockets:
    """Those that are there, by their addresses, and new ones for what is new."""
    sockets: list[tuple[Listen, socket.socket]] = []
    try:
        for listen in settings.listen:
            there = [sock for before, sock in former if before.address == listen.address]
            if isinstance(listen.address, UnixAddress) and not listen.address.path.is_socket():
                there = []  # nobody finds it any more
            sockets += [(listen, sock) for sock in there or [_bind(listen)]]
        _refuse_loops(sockets, settings)
    except StartError:
        _close_new(sockets, former)
        raise
    return sockets


def _close_new(sockets: Sockets, former: Sockets) -> None:
    for sock in {sock for _, sock in sockets}.difference(sock for _, sock in former):
        sock.close()


def _bind(listen: Listen) -> socket.socket:
    if isinstance(listen.address, SystemdAddress):
        raise StartError(f"{listen.address}: systemd passes sockets only at the start: restart", os.EX_CONFIG)
    try:
        return bind(listen.address)
    except BindError as error:
        raise StartError(str(error), os.EX_UNAVAILABLE) from error


def _refuse_loops(sockets: Sockets, settings: Settings) -> None:
    """Refuse a relay that is a listener of ours: where systemd's are, the settings couldn't know."""
    for listen, sock in sockets:
        if reaches(settings.relay.address, address_of(sock)):
            text = f'relay.address: "{settings.relay.address}" is a listener of our own, "{listen.address}"'
            raise StartError(text, os.EX_CONFIG)
