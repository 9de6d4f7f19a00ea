"""The service with two workers, and what tests of it share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.events import Events
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Sink, script

USER = "carol"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


@pytest.fixture(scope="module")
def sink_of_module() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def sink(sink_of_module: Sink) -> Sink:
    sink_of_module.answer = script()
    sink_of_module.connections.clear()
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {}


@pytest.fixture(scope="module")
def installation(folder: Path, sink_of_module: Sink, settings: Settings) -> Server:
    """One that doesn't run, with an account."""
    (folder / "server").mkdir(mode=0o755)
    server = Server(folder / "server", sink_of_module.address, {"workers": 2, **settings})
    server.add_user(USER, PASSWORD)
    return server


@pytest.fixture
def server(installation: Server, sink: Sink) -> Iterator[Server]:
    """It runs for this test."""
    with installation:
        yield installation


@pytest.fixture
def events(installation: Server) -> Events:
    return Events(installation)
