"""What systemd and we say to each other: the sockets that it passes, and how things stand.

Sockets come as descriptors from 3 on, and three variables tell whom they are for, how many, and their names
(sd_listen_fds(3)); news goes as datagrams to a socket of the supervisor's (sd_notify(3)). Both are plain enough to need
no library, and other supervisors speak them too.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from collections.abc import Iterable, Mapping, MutableMapping

FIRST_DESCRIPTOR = 3
MAX_DESCRIPTORS = 1024

_MICROSECONDS = re.compile(r"[1-9][0-9]{0,17}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class PassedSocketsError(Exception):
    """What was passed isn't what we were configured for. The text is for the admin."""


def take_sockets(
    names: Iterable[str], environment: MutableMapping[str, str] = os.environ
) -> dict[str, list[socket.socket]]:
    """The sockets that were passed to this process, by the names in `names`, each of which has one at least.

    Strictly those: a socket that nobody serves would keep its clients waiting. The variables are taken off the
    environment, for they are meant for us alone. Raises PassedSocketsError.
    """
    sockets: dict[str, list[socket.socket]] = {name: [] for name in names}
    for descriptor, name in _passed(environment):
        if name not in sockets:
            raise PassedSocketsError(
                f"systemd passes a socket named {name!r} that no listener has: add one with"
                f' address = "systemd:{name}", or take the socket out of the service\'s Sockets='
            )
        sockets[name].append(_listening(descriptor, name))
    for name, passed in sockets.items():
        if not passed:
            raise PassedSocketsError(
                f"systemd:{name}: no such socket was passed: start the service from a .socket unit with"
                f" FileDescriptorName={name}, or give the listener an address of its own"
            )
    return sockets


def notify(*lines: str) -> None:
    """Tell the supervisor how things stand, if it asked to be told; @ begins an abstract socket."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            name = address.replace("@", "\0", 1) if address.startswith("@") else address
            supervisor.sendto("\n".join(lines).encode(), name)


def watchdog_interval(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between two signs of life: half of what the supervisor waits for one (sd_watchdog_enabled(3)).

    None where it waits for none of this process.
    """
    timeout = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not _MICROSECONDS.fullmatch(timeout):
        return None
    return int(timeout) / 2e6


def _passed(environment: MutableMapping[str, str]) -> list[tuple[int, str]]:
    """Descriptors and names of what was passed to this process; what was meant for another is none of ours."""
    process = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()):
        return []
    if not _NUMBER.fullmatch(count) or int(count) > MAX_DESCRIPTORS:
        raise PassedSocketsError(f"LISTEN_FDS is {count!r}, must be a number up to {MAX_DESCRIPTORS}")
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    named = names.split(":") if names is not None else ["unknown"] * len(descriptors)
    if len(named) != len(descriptors):
        raise PassedSocketsError(f"LISTEN_FDNAMES has {len(named)} names for {len(descriptors)} sockets")
    return list(zip(descriptors, named, strict=True))


def _listening(descriptor: int, name: str) -> socket.socket:
    """The socket of a descriptor, if clients can be accepted from it."""
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            sock = socket.socket(fileno=descriptor)
            sock.set_inheritable(False)
            if (
                sock.family in _FAMILIES
                and sock.type == socket.SOCK_STREAM
                and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            ):
                return sock
            sock.detach()
    except OSError as error:
        raise PassedSocketsError(f"systemd:{name}: descriptor {descriptor}: {error.strerror}") from error
    raise PassedSocketsError(
        f"systemd:{name}: descriptor {descriptor} is not a listening stream socket: the .socket unit needs"
        " ListenStream= and Accept=no"
    )
