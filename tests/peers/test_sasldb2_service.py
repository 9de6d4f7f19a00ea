"""The service with sasldb2 as its accounts: what saslpasswd2 changes there counts at the next login."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.programs import require
from tests.support.server import REALM, Server, Settings
from tests.support.sink import Sink


def saslpasswd2(path: Path, *arguments: str, password: str = "") -> None:
    require("saslpasswd2")
    command = ["saslpasswd2", "-p", "-f", str(path), "-u", REALM, *arguments]
    subprocess.run(command, input=password, text=True, check=True, timeout=30)


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"store": {"url": "sasldb2:sasldb2"}}


@pytest.fixture(scope="module")
def database(server: Server) -> Path:
    return server.folder / "state" / "sasldb2"


def log_in_with_swaks(server: Server, user: str, password: str, mechanism: str) -> subprocess.CompletedProcess[str]:
    require("swaks")
    command = ["swaks", "--server", "127.0.0.1", "--port", str(server.ports["implicit"]), "--tls-on-connect"]
    command += ["--auth", mechanism, "--auth-user", user, "--auth-password", password, "--quit-after", "AUTH"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_change_by_saslpasswd2_counts_at_the_next_login(server: Server, database: Path, mechanism: str) -> None:
    user = f"dave-{mechanism}"
    for password in ("first", "second"):
        saslpasswd2(database, "-c", user, password=password)
        assert log_in_with_swaks(server, user, password, mechanism).returncode == 0
        refused = log_in_with_swaks(server, user, "another", mechanism)
        assert refused.returncode
        assert "535 5.7.8" in refused.stdout
    assert "535 5.7.8" in log_in_with_swaks(server, user, "first", mechanism).stdout
    saslpasswd2(database, "-d", user)
    assert "535 5.7.8" in log_in_with_swaks(server, user, "second", mechanism).stdout


def test_a_message_goes_through(server: Server, database: Path) -> None:
    assert database.exists()
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        assert client.submit(b"Subject: x\r\n\r\n", "alice@example.com").startswith(b"250 ")


def test_a_file_that_is_gone_is_a_temporary_failure(server: Server, database: Path) -> None:
    away = database.rename(database.with_name("away"))
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"454 4.7.0 ")
    away.rename(database)
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
