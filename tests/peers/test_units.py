"""The units for systemd: systemd's own opinion of them, and the service under what they forbid it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.cli.install_units import make_units
from submission.service import LATE
from submission.service.worker import DRAIN
from tests.peers.conftest import PASSWORD, USER
from tests.support import programs, sandbox
from tests.support.client import Client
from tests.support.server import Server
from tests.support.sink import Sink

UNITS = Path(__file__).parents[2] / "contrib/systemd"
MOST_EXPOSED = 15
"""Tenths of a point that systemd-analyze may find; what is left is what a network service can't do without."""

MESSAGE = b"From: carol@example.com\r\n\r\nHello\r\n"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, made to start a command that there is."""
    for name, text in make_units(UNITS, Path("/usr/bin/env")).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    programs.require("systemd-analyze")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=50)


def test_systemd_understands_every_line(installed: Path) -> None:
    result = analyze("verify", "--man=no", *map(str, sorted(installed.iterdir())))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_systemd_tells_what_it_does_not_understand(installed: Path) -> None:
    unit = installed / "submission.service"
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))
    assert "NoNewPrivilege" in analyze("verify", "--man=no", str(unit)).stderr


def test_the_service_is_exposed_to_little(installed: Path) -> None:
    unit = str(installed / "submission.service")
    result = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", unit)
    assert result.returncode == 0, result.stdout


def test_it_has_the_time_that_it_takes_to_stop() -> None:
    (patience,) = sandbox.settings_of(UNITS / "submission.service", "TimeoutStopSec")
    assert int(patience) > DRAIN + LATE


@pytest.mark.parametrize(("unit", "port"), [("submission", 587), ("submissions", 465)])
def test_a_socket_has_the_name_of_its_port(unit: str, port: int) -> None:
    assert sandbox.settings_of(UNITS / f"{unit}.socket", "FileDescriptorName") == [unit]
    assert sandbox.settings_of(UNITS / f"{unit}.socket", "ListenStream") == [str(port)]


@pytest.fixture
def sandboxed(folder: Path, sink: Sink) -> Iterator[Server]:
    """The service under the unit's filters."""
    programs.require("systemd-analyze")
    launcher = [sys.executable, sandbox.__file__, str(UNITS / "submission.service")]
    (folder / "sandboxed").mkdir(mode=0o755)
    server = Server(folder / "sandboxed", sink.address, launcher=launcher)
    server.add_user(USER, PASSWORD)
    with server:
        yield server


def test_the_service_can_do_its_work_under_the_filters(sandboxed: Server, sink: Sink) -> None:
    with Client(sandboxed) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        assert client.submit(MESSAGE, "bob@example.net").startswith(b"250 ")
    assert b"Hello" in sink.connections[0].received
    (worker,) = sandboxed.workers()
    status = dict(line.split(":\t") for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert not sandboxed.log("internal-error")
