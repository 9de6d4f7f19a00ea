"""The service as a process: what its supervisor hears of it."""

import socket

import pytest

from submission.service import StartError, drop_root
from tests.support.network import free_ports
from tests.support.server import Server, public_folder


def test_the_supervisor_hears_when_it_is_ready_and_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    with public_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        path = folder / "notify"
        supervisor.bind(str(path))
        path.chmod(0o666)
        supervisor.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        (folder / "proxy").mkdir(mode=0o755)
        (port,) = free_ports(1)
        server = Server(folder / "proxy", f"127.0.0.1:{port}")
        with server:
            assert supervisor.recv(100) == b"READY=1"
        assert supervisor.recv(100) == b"STOPPING=1"


def test_a_user_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(StartError, match="no user 'nobody-of-this-name'"):
        drop_root("nobody-of-this-name")


def test_root_is_no_user_to_run_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(StartError, match="doesn't run as root"):
        drop_root("root")
