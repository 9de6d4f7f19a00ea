"""The sockets of POP before SMTP: where sendmail asks, and where lines of logs are sent.

They are made while root may make them anywhere, and handed on from one configuration's processes to the next's: what
is sent or asked meanwhile waits in them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from submission.config.settings import Settings
from submission.config.values import UnixAddress
from submission.popwatch.syslog import bind_syslog
from submission.service.errors import StartError
from submission.smtp.sockets import BindError, bind


@dataclass(frozen=True, slots=True)
class PopSockets:
    """Those of one configuration."""

    socketmap: Mapping[Path, socket.socket] = field(default_factory=dict)
    """One at most."""
    syslog: Mapping[str, socket.socket] = field(default_factory=dict)
    """By the name that a log of that kind has in the configuration."""

    @property
    def all(self) -> list[socket.socket]:
        """All of them."""
        return [*self.socketmap.values(), *self.syslog.values()]


def open_pop_sockets(settings: Settings, former: PopSockets | None = None) -> PopSockets:
    """What the configuration wants: of an earlier one's what is still wanted, and new ones. Raises StartError."""
    former = former or PopSockets()
    pop = settings.pop_before_smtp
    if not pop.enabled:
        return PopSockets()
    socketmap: dict[Path, socket.socket] = {}
    syslog: dict[str, socket.socket] = {}
    sockets = PopSockets(socketmap, syslog)
    try:
        for log in pop.logs:
            if log.startswith("syslog:"):
                syslog[log] = former.syslog.get(log) or _bind_syslog(log)
        path = pop.sendmail.socketmap
        if path is not None:
            there = former.socketmap.get(path) if path.is_socket() else None  # else nobody finds it any more
            socketmap[path] = there or _bind_socketmap(path)
    except StartError:
        for sock in set(sockets.all).difference(former.all):
            sock.close()
        raise
    return sockets


def _bind_socketmap(path: Path) -> socket.socket:
    try:
        return bind(UnixAddress(path))
    except BindError as error:
        raise StartError(f"pop_before_smtp.sendmail.socketmap: {error}", os.EX_UNAVAILABLE) from error


def _bind_syslog(log: str) -> socket.socket:
    try:
        return bind_syslog(log)
    except OSError as error:
        raise StartError(f'pop_before_smtp.logs: "{log}": {error.strerror or error}', os.EX_UNAVAILABLE) from error
