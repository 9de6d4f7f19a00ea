"""A new sealing key while clients log in by a mechanism that needs what is sealed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.server import Server
from tests.support.sink import Sink

USERS = ("ann", "bob", "cat", "dan")


@pytest.fixture
def server(folder: Path, sink: Sink) -> Iterator[Server]:
    server = Server(folder, sink.address, {"workers": 2})
    for user in USERS:
        server.add_user(user, f"{user}'s password")
    with server:
        yield server


def test_no_login_fails_while_keys_are_changed(server: Server) -> None:
    done = threading.Event()
    replies: Counter[bytes] = Counter()

    def log_in(user: str) -> None:
        while not done.is_set():
            with Client(server) as client:
                replies[client.log_in(user, f"{user}'s password")[:3]] += 1

    threads = [threading.Thread(target=log_in, args=(user,)) for user in USERS]
    for thread in threads:
        thread.start()
    command = [sys.executable, "-m", "submission", "user", "rekey", "-c", str(server.configuration)]
    keys = []
    for _ in range(3):
        result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        assert result.stderr == "4 passwords are sealed by a new key\n"
        keys.append((server.folder / "state" / "store.key").read_text().splitlines())
    done.set()
    for thread in threads:
        thread.join()
    assert set(replies) == {b"235"}
    assert replies[b"235"] > 20
    assert [len(lines) for lines in keys] == [2, 2, 2]  # the key that seals, and the root of what is derived
    assert len({lines[0] for lines in keys}) == 3
    assert len({lines[1] for lines in keys}) == 1
