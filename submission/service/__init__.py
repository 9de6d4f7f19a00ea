"""The running service: builds its parts from the settings, binds, drops root, and has workers serve.

The order is what matters. Everything that root is needed for, or that reads files which only root may read, comes
before the drop: sockets, certificate and key. Everything that keeps files comes after it, so that they belong to
the user who will write them. What all workers share comes before the fork (crew.py), everything else after it:
worker.py.
"""

from __future__ import annotations

import gc
import os
import pwd
import resource
from typing import TYPE_CHECKING

from submission import logs
from submission.config.settings import Settings
from submission.service import verdict
from submission.service.crew import (
    WorkerCrew,
    count_workers,
    load_everything,
    open_sockets,
    open_tls,
    raise_descriptor_limit,
)
from submission.service.errors import StartError
from submission.service.monitoring import Monitoring, open_monitoring
from submission.service.pop_sockets import open_pop_sockets
from submission.service.supervisor import Supervisor
from submission.service.worker import DRAIN, Inheritance, find_event_loop
from submission.smtp.in_doubt import InDoubt, take_left
from submission.smtp.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["StartError", "run"]

LATE = 5.0
"""Seconds that a worker may be late to end after its drain, before it is killed."""
CREWS = 4
"""Times as many workers as the configuration asks for that there may be while those of earlier ones have clients."""


def run(read: Callable[[], Settings], on_ready: Callable[[], None], *, shows_dialogue: bool = False) -> None:
    """Run until SIGTERM or SIGINT. `on_ready` is called once every worker accepts. Raises StartError.

    `read` reads the configuration, now and at each SIGHUP, and raises ConfigError.
    """
    settings = read()
    forbid_core_files()
    logs.configure(settings.log.format, facility=settings.log.syslog)
    sockets = open_sockets(settings)
    pop_sockets = open_pop_sockets(settings)
    tls = open_tls(settings)
    workers, threads = count_workers(settings)
    rows = CREWS * (workers + 1)  # the attendant has one, too
    monitoring = open_monitoring(settings, rows)
    load_everything(settings)
    make_loop = find_event_loop()
    raise_descriptor_limit(settings)
    drop_root(settings.user)
    places = Places(rows, settings.limits.connections, settings.limits.connections_per_ip)
    users = Places(rows, settings.limits.connections, settings.limits.user.connections)
    in_doubt = open_in_doubt(settings.state_dir, rows, monitoring)
    inheritance = Inheritance(
        settings,
        sockets,
        pop_sockets,
        tls,
        places,
        users,
        in_doubt,
        monitoring,
        workers,
        threads,
        make_loop,
        shows_dialogue,
    )

    def forget(row: int) -> None:
        places.clear(row)
        users.clear(row)
        monitoring.tell_unknown(in_doubt.take(row), row, "worker died")

    def report(begun: int, reason: StartError | None) -> None:
        try:
            verdict.write(settings.state_dir, begun, reason.code if reason else os.EX_OK, str(reason or ""))
        except OSError as error:
            logs.failure("verdict-not-written", error)

    gc.freeze()  # what is there now stays: no collector need look at it, or write to what the workers share
    supervisor = Supervisor(
        WorkerCrew(inheritance, read),
        rows=rows,
        forget=forget,
        patience=DRAIN + LATE,
        report=report,
    )
    try:
        supervisor.run(on_ready)
    finally:
        verdict.remove(settings.state_dir)
        in_doubt.remove()


def open_in_doubt(state_dir: Path, rows: int, monitoring: Monitoring) -> InDoubt:
    """Tell of what a service before this one left in doubt, and have room for as many workers. Raises StartError."""
    try:
        monitoring.tell_unknown(take_left(state_dir), 0, "service died")
    except OSError as error:  # another user's, say; it is no reason to take no mail
        logs.failure("in-doubt-unreadable", error)
    try:
        return InDoubt(state_dir, rows)
    except OSError as error:
        raise StartError(f"{state_dir}: {error.strerror}", os.EX_CANTCREAT) from error


def forbid_core_files() -> None:
    """Let no process, now or later, leave its memory in a file when it crashes: there are passwords in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


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
