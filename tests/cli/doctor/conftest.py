"""An installation that runs: the service, an account, and a sink for a relay, for all tests of the doctor.

A test breaks something of it, or tries it by settings that say something else; what was broken is whole again for the
next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.cli.doctor.doors import Door, find_doors
from submission.config import Settings, load
from tests.support.server import USER, Server, public_folder
from tests.support.sink import Sink, script

IS_ROOT = os.geteuid() == 0
PASSWORD = "correct horse"


class Installation:
    """What runs, and by which settings it is tried."""

    def __init__(self, server: Server, sink: Sink) -> None:
        self.server = server
        self.sink = sink
        self.folder = server.folder

    def configuration(self, *changes: tuple[str, str]) -> Path:
        """The file of its settings, with other text in it, of which the service knows nothing."""
        text = self.server.configuration.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = self.folder / "tried.toml"
        file.write_text(text)
        return file

    def settings(self, *changes: tuple[str, str], kinds: tuple[str, ...] = ("starttls",)) -> Settings:
        """What is in that file, with the listeners of these kinds only."""
        settings = load(self.configuration(*changes))
        addresses = {f"127.0.0.1:{self.server.ports[kind]}" for kind in kinds}
        listen = tuple(each for each in settings.listen if str(each.address) in addresses)
        return settings.model_copy(update={"listen": listen})

    def door(self, kind: str, *changes: tuple[str, str]) -> tuple[Door, Settings]:
        """One listener, and the settings that it is tried by."""
        settings = self.settings(*changes, kinds=(kind,))
        (door,) = find_doors(settings.listen[0], settings.hostname)
        return door, settings

    def put(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Replace a file by one that the service may read."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.touch()
        path.chmod(mode)
        path.write_bytes(data)
        if IS_ROOT:
            shutil.chown(path, USER)


@pytest.fixture(scope="package")
def running() -> Iterator[Installation]:
    with public_folder() as folder, Sink() as sink:
        server = Server(folder, sink.address)
        server.add_user("carol", PASSWORD)
        with server:
            yield Installation(server, sink)


_FILES = ("server.pem", "server.key", "state/users.db", "state/store.key")


@pytest.fixture
def installation(running: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Whole before each test and after it; its authority is one that this system trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(running.server.certificate_authority))
    running.sink.answer = script()
    kept = {name: (running.folder / name).read_bytes() for name in _FILES}
    yield running
    for name, data in kept.items():
        running.put(name, data)
    (running.folder / "state").chmod(0o700)
