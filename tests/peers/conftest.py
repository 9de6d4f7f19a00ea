"""The service between real programs: a relay behind it, an account in it.

A module names the relay it wants, by a fixture `relay` that gives `sendmail` or `sink`, and may change the service's
configuration by a fixture `settings`. All of them live as long as the module's tests; `sendmail` and `sink` begin
each test empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.events import Events
from tests.support.sendmail import Sendmail
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Sink, script

USER = "carol"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


@pytest.fixture(scope="module")
def sendmail_of_module(folder: Path) -> Iterator[Sendmail]:
    with Sendmail(folder / "sendmail") as sendmail:
        yield sendmail


@pytest.fixture
def sendmail(sendmail_of_module: Sendmail) -> Sendmail:
    sendmail_of_module.forget()
    return sendmail_of_module


@pytest.fixture(scope="module")
def sink_of_module() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def sink(sink_of_module: Sink) -> Sink:
    sink_of_module.disconnect()
    sink_of_module.connections.clear()
    sink_of_module.answer = script()
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {}


@pytest.fixture(scope="module")
def server(folder: Path, relay: Sendmail | Sink, settings: Settings) -> Iterator[Server]:
    (folder / "server").mkdir(mode=0o755)
    server = Server(folder / "server", relay.address, settings)
    server.add_user(USER, PASSWORD)
    with server:
        yield server


@pytest.fixture
def events(server: Server) -> Events:
    return Events(server)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client that has logged in."""
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        yield client
