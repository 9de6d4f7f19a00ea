"""Loopback ports, and waiting for what happens in other programs."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

PATIENCE = 20.0
"""Seconds after which something that should have happened is taken not to happen; the machine may be busy."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many different ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]


def wait_until(is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for what another program does and doesn't tell. TimeoutError where it never does."""
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(0.005)  # between looks


def wait_until_accepting(port: int, is_alive: Callable[[], bool]) -> None:
    """Wait until a connection to the port is accepted. TimeoutError where it never is, or `is_alive` no longer."""
    end = time.monotonic() + PATIENCE
    while is_alive() and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.01)  # between attempts: nothing else tells when another program is there
        else:
            return
    raise TimeoutError(f"nothing accepts connections on port {port}")
