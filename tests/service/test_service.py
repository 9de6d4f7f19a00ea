"""The service as a process: how it is started, what its supervisor hears of it, and how it can't be."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.service import StartError, drop_root
from tests.support.client import Client
from tests.support.network import PATIENCE, free_port
from tests.support.server import Server, Settings, public_folder

LAUNCHER = """
import os, socket, sys
first, second, unix = socket.socket(), socket.socket(), socket.socket(socket.AF_UNIX)
first.bind(("127.0.0.1", int(sys.argv[1])))
second.bind(("127.0.0.1", int(sys.argv[2])))
unix.bind(sys.argv[3])
os.chmod(sys.argv[3], 0o666)
for descriptor, sock in zip(range(30, 33), (first, unix, second)):
    sock.listen()
    os.dup2(sock.fileno(), descriptor)
for descriptor in range(3):
    os.dup2(30 + descriptor, 3 + descriptor)
os.closerange(6, 100)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3", "LISTEN_FDNAMES": sys.argv[4]}
os.execv(sys.argv[5], sys.argv[5:])
"""
"""What systemd does for a .socket unit: two TCP sockets of one name, one of AF_UNIX of another."""

LIMITED = 'ulimit -S -n 64 && ulimit -H -n 4096 && exec "$@"'


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        (folder / "proxy").mkdir(mode=0o755)
        yield folder


def make_server(folder: Path, settings: Settings | None = None, launcher: tuple[str, ...] = ()) -> Server:
    """One without a relay, for no mail is sent."""
    return Server(folder / "proxy", f"127.0.0.1:{free_port()}", settings, launcher)


def serve(server: Server) -> subprocess.CompletedProcess[str]:
    """Try to run it, where it is to fail."""
    command = [sys.executable, "-m", "submission", "serve", "-c", str(server.configuration)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture
def supervisor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What the service tells its news to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(folder / "notify"))
        (folder / "notify").chmod(0o666)
        supervisor.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        yield supervisor


def test_the_supervisor_hears_when_it_is_ready_when_it_reloads_and_when_it_stops(
    folder: Path, supervisor: socket.socket
) -> None:
    with make_server(folder) as server:
        assert supervisor.recv(100) == b"READY=1"
        os.kill(server.pid, signal.SIGHUP)
        reloading, _, usec = supervisor.recv(100).partition(b"\nMONOTONIC_USEC=")
        assert reloading == b"RELOADING=1"
        assert int(usec) > 0
        assert supervisor.recv(100) == b"READY=1"
    assert supervisor.recv(100) == b"STOPPING=1"


def test_the_watchdog_hears_that_it_lives_as_long_as_it_serves(
    folder: Path, supervisor: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    with make_server(folder) as server:
        assert supervisor.recv(100) == b"READY=1"
        began = time.monotonic()
        assert [supervisor.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4
        assert time.monotonic() - began >= 0.1  # at once, which may be before we look, and then every 50 ms
        os.kill(server.pid, signal.SIGHUP)
        news = [supervisor.recv(100) for _ in range(4)]
        assert b"WATCHDOG=1" in news[-2:]  # what comes of a signal delays none of it


def test_there_is_a_worker_for_each_cpu_unless_told(folder: Path) -> None:
    with make_server(folder, {"workers": 0}) as server:
        assert len(server.workers()) == len(os.sched_getaffinity(0))


def systemd_server(folder: Path, names: str) -> Server:
    """A server whose listener of no TLS has the sockets named `smtp`, that of STARTTLS the one named `local`."""
    ports = (str(free_port()), str(free_port()))
    launcher = (sys.executable, "-c", LAUNCHER, *ports, str(folder / "socket"), names)
    listen = [{"address": "systemd:smtp", "tls": "none"}, {"address": "systemd:local", "tls": "starttls"}]
    server = make_server(folder, {"listen": listen}, launcher)
    server.ports = {"none": int(ports[0]), "another": int(ports[1])}
    return server


def test_sockets_that_systemd_passes_are_served(folder: Path) -> None:
    with systemd_server(folder, "smtp:local:smtp") as server:
        for kind in ("none", "another"):
            with Client(server, kind) as client:
                assert b"STARTTLS" not in client.say("EHLO client.example")
        with socket.socket(socket.AF_UNIX) as local:
            local.settimeout(PATIENCE)
            local.connect(str(folder / "socket"))
            assert local.recv(100).startswith(b"220 ")
            local.sendall(b"EHLO client.example\r\n")
            assert b"STARTTLS" in local.recv(1000)
        assert server.stop() == 0
    assert (folder / "socket").exists()  # it is systemd's, who goes on listening


def test_sockets_that_systemd_does_not_pass_are_told(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="a socket named 'other' that no listener has"):
        systemd_server(folder, "smtp:local:other").start()


def test_a_passed_socket_that_is_the_relay_s_address_is_told(folder: Path) -> None:
    server = systemd_server(folder, "smtp:local:smtp")
    text = server.configuration.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith('address = "127.0.0.1:')]
    server.configuration.write_text(text.replace(line, f'address = "127.0.0.1:{server.ports["another"]}"'))
    with pytest.raises(RuntimeError, match='is a listener of our own, "systemd:smtp"'):
        server.start()


def test_a_worker_s_reason_for_not_starting_is_the_service_s(folder: Path) -> None:
    server = make_server(folder, {"workers": 2})
    (folder / "proxy/state/users.db").mkdir()
    result = serve(server)
    assert result.returncode == os.EX_CONFIG
    (told,) = [line for line in result.stderr.splitlines() if line.startswith("submission: ")]
    assert f"{folder}/proxy/state/users.db" in told
    assert "ready" not in result.stdout


def test_an_address_that_is_taken(folder: Path) -> None:
    server = make_server(folder)
    with socket.create_server(("127.0.0.1", server.ports["none"])):
        result = serve(server)
    assert result.returncode == os.EX_UNAVAILABLE
    assert "Address already in use" in result.stderr


def test_the_limit_of_descriptors_is_raised_as_far_as_it_may_be(folder: Path) -> None:
    with make_server(folder, {"limits": {"connections": 10_000}}, ("sh", "-c", LIMITED, "sh")) as server:
        for worker in server.workers():
            (limit,) = re.findall(r"Max open files +([0-9]+)", Path(f"/proc/{worker}/limits").read_text())
            assert limit == "4096"
        (told,) = server.log("few-descriptors")
        assert told.endswith("limit=4096 needed=20256")


def test_a_crash_leaves_no_core_file(folder: Path) -> None:
    with make_server(folder, {}, ("sh", "-c", 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"', "sh")) as server:
        for process in (server.pid, *server.workers()):
            limits = Path(f"/proc/{process}/limits").read_text()
            assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_a_user_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(StartError, match="no user 'nobody-of-this-name'"):
        drop_root("nobody-of-this-name")


def test_root_is_no_user_to_run_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(StartError, match="doesn't run as root"):
        drop_root("root")


def test_what_an_earlier_service_left_unreadable_is_no_reason_not_to_start(folder: Path) -> None:
    server = make_server(folder)
    left = folder / "proxy" / "state" / "in-doubt-left"
    left.mkdir()  # what even root can't read as a file
    with server, Client(server, "none") as client:
        assert client.greeting.startswith(b"220 ")
        assert "IsADirectoryError" in server.log("in-doubt-unreadable ")[0]
    assert [path.name for path in left.parent.glob("in-doubt-*")] == [left.name]
