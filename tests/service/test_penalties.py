"""Guessers at a service with two workers: what one of them learns the other knows, and a restart forgets nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.server import Server
from tests.support.sink import Sink

USER, PASSWORD = "alice", "sesame"


@pytest.fixture
def server(folder: Path, sink: Sink) -> Iterator[Server]:
    server = Server(folder, sink.address, {"workers": 2, "auth": {"exempt": []}})
    server.add_user(USER, PASSWORD)
    with server:
        yield server


def authenticate(server: Server, password: str) -> tuple[bytes, float]:
    """The reply's code, and the seconds that it took."""
    with Client(server) as client:
        client.say("EHLO client.example")
        begin = time.monotonic()
        return client.log_in(USER, password)[:3], time.monotonic() - begin


def penalties(server: Server, *arguments: str) -> str:
    command = [sys.executable, "-m", "submission", "penalties", *arguments, "-c", str(server.configuration)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def test_failures_delay_who_comes_next_whichever_worker_and_clearing_ends_it(server: Server) -> None:
    assert authenticate(server, PASSWORD)[0] == b"235"
    for guess, delay in (("one", 0), ("two", 1), ("three", 2)):
        code, seconds = authenticate(server, guess)
        assert code == b"535"
        assert seconds >= delay
    server.stop()
    server.start()  # nobody's password is remembered, and the failures are
    begin = time.monotonic()
    assert authenticate(server, PASSWORD)[0] == b"235"
    assert time.monotonic() - begin >= 3.9
    assert penalties(server) == ""  # a success takes back what was its own
    authenticate(server, "four")
    assert penalties(server).splitlines()[0].startswith("127.0.0.1\t1\t1 s")
    penalties(server, "clear", "127.0.0.1")
    assert authenticate(server, "five")[1] < 1
