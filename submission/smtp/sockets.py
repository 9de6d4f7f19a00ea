"""Listening sockets: made while the process may still be root, before there are workers, all of which accept from them.

One socket a listener, not one a worker: whoever waits in its queue is served by the others when a worker dies.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from submission.config.settings import Listen
from submission.config.values import SystemdAddress, TcpAddress, UnixAddress
from submission.systemd import PassedSocketsError, take_sockets

BACKLOG = 1024
"""Connections that the kernel holds until we accept them."""


class BindError(Exception):
    """A listener can't have its address. The text tells the admin which, why, and what to do."""


def bind_all(listeners: Sequence[Listen]) -> list[tuple[Listen, socket.socket]]:
    """The sockets of all listeners, listening; systemd may pass several for one. Raises BindError."""
    names = [listen.address.name for listen in listeners if isinstance(listen.address, SystemdAddress)]
    try:
        passed = take_sockets(names)
    except PassedSocketsError as error:
        raise BindError(str(error)) from error
    sockets = []
    for listen in listeners:
        if isinstance(listen.address, SystemdAddress):
            sockets += [(listen, sock) for sock in passed[listen.address.name]]
        else:
            sockets.append((listen, bind(listen.address)))
    return sockets


def bind(address: TcpAddress | UnixAddress) -> socket.socket:
    """A socket of our own, listening. Raises BindError."""
    try:
        sock = _bind_tcp(address) if isinstance(address, TcpAddress) else _bind_unix(address.path)
        try:
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise BindError(f"{address}: {_explain(error, address)}") from error
    return sock


def address_of(sock: socket.socket) -> TcpAddress | UnixAddress:
    """Where clients find a socket."""
    name = sock.getsockname()
    return UnixAddress(Path(os.fsdecode(name))) if sock.family == socket.AF_UNIX else TcpAddress(name[0], name[1])


def _bind_tcp(address: TcpAddress) -> socket.socket:
    is_ipv6 = ":" in address.host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY where it reads TCP
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # "0.0.0.0" beside "[::]" is the custom here
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_left_behind(path):
                raise
            path.unlink()
            sock.bind(str(path))
        path.chmod(0o666)  # whoever reaches the folder may connect, as to a port
    except OSError:
        sock.close()
        raise
    return sock


def _is_left_behind(path: Path) -> bool:
    """Whether a path is that of a Unix socket whose server ended without ceremony."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED


def _explain(error: OSError, address: object) -> str:
    text = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE and isinstance(address, TcpAddress) and address.port == 587:
        text += (
            "; if sendmail holds it, delete the DAEMON_OPTIONS line with Port=submission (Debian: Name=MSP-v4) from"
            " sendmail.mc, keep FEATURE(`no_default_msa'), rebuild sendmail.cf and restart sendmail"
        )
    elif error.errno == errno.EACCES and os.geteuid() != 0:
        text += "; ports below 1024 are root's: start as root, which is dropped after binding"
    return text
