"""A syslogd of the test's: each datagram as it came, in order, for a service that is launched to write to it."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.support.network import PATIENCE

_LAUNCHER = """
import pathlib, sys
from submission import system_log
from submission.cli.main import main
system_log.SOCKET = pathlib.Path(sys.argv[1])
sys.argv = sys.argv[4:]
main()
"""


def launcher(path: Path) -> Sequence[str]:
    """What runs `submission` (Server's `launcher`) with a socket in place of /dev/log, which is the host's."""
    return (sys.executable, "-c", _LAUNCHER, str(path))


class SystemLogReader:
    """One that reads at once; `with` binds its socket, to which any user may write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._datagrams: list[bytes] = []
        self._thread = threading.Thread(target=self._read)

    @property
    def datagrams(self) -> Sequence[bytes]:
        """Those that have come so far."""
        return tuple(self._datagrams)

    def __enter__(self) -> Self:
        self._socket.bind(str(self._path))
        self._path.chmod(0o666)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join(PATIENCE)
        self._socket.close()

    def _read(self) -> None:
        while datagram := self._socket.recv(1 << 16):  # an empty one says that it is shut down
            self._datagrams.append(datagram)
