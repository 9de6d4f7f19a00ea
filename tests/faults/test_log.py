"""Whoever reads the log stands still: the service waits, and in the end nothing is lost, neither messages nor lines."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.outcomes import Ground
from tests.support.failing_client import PASSWORD, USER, Plan, play
from tests.support.failing_relay import FailingRelay
from tests.support.network import PATIENCE, wait_until
from tests.support.server import USER as OWNER
from tests.support.server import Server, public_folder

PIPE = 4096
"""Octets that the pipe holds: as little as the kernel allows."""
LINE = 1024
"""Octets, more than a line of the log has: with less room than this the next one may wait."""
MESSAGES = 20
"""More than what is logged of them fits into the pipe."""


def unread(descriptor: int) -> int:
    """Octets in a pipe."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


def test_a_reader_that_stands_still(failing_relay: FailingRelay) -> None:
    with public_folder() as folder:
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        launcher = ["sh", "-c", f'exec "$@" 2>{pipe}', "sh"]
        server = Server(folder, failing_relay.address, {"auth": {"require_tls": False}}, launcher)
        shutil.chown(pipe, OWNER)
        server.add_user(USER, PASSWORD)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE)
        os.set_blocking(reader, True)
        ground = Ground(server, failing_relay)
        plans = [Plan(server.ports["none"], f"log-{number}") for number in range(MESSAGES)]
        reading = threading.Thread(target=read_into, args=(reader, folder / "log"))
        with server, ThreadPoolExecutor(MESSAGES) as executor:
            attempts = {plan: executor.submit(play, plan, threading.Event()) for plan in plans}
            try:
                wait_until(lambda: unread(reader) > PIPE - LINE)
                assert not all(attempt.done() for attempt in attempts.values())
            finally:
                reading.start()
            heard = {plan: attempt.result() for plan, attempt in attempts.items()}
        reading.join(PATIENCE)
        assert set(ground.outcomes(heard).values()) == {"taken"}


def read_into(descriptor: int, path: Path) -> None:
    """Read to the end what goes into a pipe."""
    with open(descriptor, "rb") as pipe, path.open("wb") as file:
        shutil.copyfileobj(pipe, file)
