"""Another configuration for the running service: taken, refused, and what becomes of those who are connected."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.service import verdict
from tests.service.conftest import PASSWORD, USER
from tests.support.authority import Authority, put
from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import PATIENCE, free_port, wait_until
from tests.support.server import HOSTNAME, Server, Settings
from tests.support.sink import Sink
from tests.support.workers import is_alive

MESSAGE = b"From: carol@example.com\r\n\r\nHi\r\n"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"auth": {"require_tls": False}}


@pytest.fixture
def server(installation: Server, sink: Sink) -> Iterator[Server]:
    """It runs for this test, with the configuration of the beginning."""
    installation.configure({})
    with installation:
        yield installation


def offered(client: Client) -> str:
    return client.say("EHLO client.example").decode()


def refused(server: Server, code: int) -> str:
    """Why it refuses the configuration; it goes on with the same workers."""
    before = server.workers()
    result = server.reload()
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert set(before) <= set(server.workers())
    with Client(server, "none") as client:
        assert "AUTH" in offered(client)
    return result.stderr


def test_new_sessions_have_the_new_settings_and_open_ones_the_old(server: Server, sink: Sink, events: Events) -> None:
    before = server.workers()
    with Client(server) as old:
        assert old.log_in(USER, PASSWORD).startswith(b"235 ")
        assert old.say("MAIL FROM:<carol@example.com>").startswith(b"250 ")
        server.configure({"limits": {"message_size": 12345}, "auth": {"mechanisms": ["DIGEST-MD5"]}})
        result = server.reload()
        assert (result.returncode, result.stdout, result.stderr) == (0, "ok\n", "")
        assert len(events.all("reloaded")) == 1
        with Client(server) as new:
            text = offered(new)
            assert "SIZE 12345\r\n" in text
            assert "AUTH DIGEST-MD5\r\n" in text
        assert old.say("RCPT TO:<dave@example.com>").startswith(b"250 ")
        assert old.say("DATA").startswith(b"354 ")
        assert old.send_message(MESSAGE).startswith(b"250 ")
        assert old.submit(MESSAGE, "erin@example.com").startswith(b"250 ")
        text = offered(old)
        assert "SIZE 12345\r\n" not in text
        assert "CRAM-MD5" in text
        wait_until(lambda: len(events.all("worker-retired")) == 1)  # the one that had nobody
        assert len(server.workers()) == 3
        assert old.say("QUIT").startswith(b"221 ")
    wait_until(lambda: not set(before) & set(server.workers()))
    assert {event["pid"] for event in events.all("worker-retired")} == set(map(str, before))
    assert not events.all("worker-died")


def test_under_load_nothing_is_lost(server: Server, sink: Sink, events: Events) -> None:
    authority, is_over = Authority(), threading.Event()
    put(server.certificate_authority, authority.pem)
    replies: Counter[bytes] = Counter()
    failures: list[object] = []

    def use(kind: str) -> None:
        while not is_over.is_set() and not failures:
            try:
                with Client(server, kind) as client:
                    said = [client.greeting, client.log_in(USER, PASSWORD)]
                    said += [client.submit(MESSAGE, "dave@example.com") for _ in range(3)]
                    said.append(client.say("QUIT"))
                replies.update(reply[:3] for reply in said)
                if [reply[:3] for reply in said] != [b"220", b"235", b"250", b"250", b"250", b"221"]:
                    failures.append(said)
            except (OSError, AssertionError) as error:
                failures.append(error)

    authority.issue(server.folder, HOSTNAME)
    (server.folder / f"{HOSTNAME}.pem").replace(server.folder / "server.pem")
    (server.folder / f"{HOSTNAME}.key").replace(server.folder / "server.key")
    assert server.reload().returncode == 0
    threads = [threading.Thread(target=use, args=(kind,)) for kind in ("implicit", "none", "none")]
    for thread in threads:
        thread.start()
    try:
        for number in range(5):
            enough = replies[b"221"] + 6
            wait_until(lambda enough=enough: bool(failures) or replies[b"221"] >= enough)  # type: ignore[misc]
            authority.issue(server.folder, HOSTNAME)
            tls = {"certificate": f"{HOSTNAME}.pem", "key": f"{HOSTNAME}.key"}
            auth = {"mechanisms": ["PLAIN", "CRAM-MD5"] if number % 2 else ["CRAM-MD5"]}
            limits = {"message_size": 100_000 + number, "connections": 200 + number}
            server.configure({"tls": tls, "auth": auth, "limits": limits, "workers": 1 + number % 2})
            result = server.reload()
            assert result.returncode == 0, result.stderr
            with Client(server) as client:
                assert f"SIZE {100_000 + number}\r\n" in offered(client)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert sum(len(connection.messages) for connection in sink.connections) == replies[b"250"]
    assert len(events.all("reloaded")) == 6
    assert not events.all("worker-died")
    assert {event["result"] for event in events.all("message")} == {"ok"}


def test_a_faulty_configuration_is_kept_out_with_every_fault(server: Server, events: Events) -> None:
    text = server.configuration.read_text()
    server.configuration.write_text("nonsense = 1\n" + text.replace('"starttls"', '"sometimes"', 1))
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: len(events.all("reload-refused")) >= 2)
    reasons = [event["reason"] for event in events.all("reload-refused")]
    assert any(f"{server.configuration}:nonsense: is unknown" in reason for reason in reasons)
    assert any('.tls: "sometimes" must be' in reason for reason in reasons)
    assert "nonsense: is unknown" in refused(server, os.EX_CONFIG)
    said = verdict.read(server.folder / "state")
    assert said
    assert (said.pid, said.code) == (server.pid, os.EX_CONFIG)
    assert "nonsense: is unknown" in said.text


def test_what_only_a_restart_can_change_is_named(server: Server, folder: Path) -> None:
    server.configure({"user": "daemon"})
    assert refused(server, os.EX_CONFIG) == "a restart is needed for what changed: user\n"


def test_a_certificate_that_cannot_be_used_is_a_reason(server: Server) -> None:
    put(server.folder / "other.pem", b"garbage")
    server.configure({"tls": {"certificate": "other.pem", "key": "server.key"}})
    assert "other.pem" in refused(server, os.EX_CONFIG)


def test_workers_that_cannot_start_with_it_are_a_reason(server: Server) -> None:
    (server.folder / "state" / "directory").mkdir()
    server.configure({"store": {"url": "sqlite:directory"}})
    assert "directory" in refused(server, os.EX_CONFIG)


def test_listeners_come_and_go_and_those_that_stay_are_never_closed(server: Server) -> None:
    kinds = [kind for kind in server.ports if kind != "starttls"]
    port = free_port()
    path = server.folder / "state" / "socket"
    fresh = [{"address": f"127.0.0.1:{port}", "tls": "none"}, {"address": f"unix:{path}", "tls": "none"}]
    with Client(server, "starttls") as old:
        waiting = socket.create_connection(("127.0.0.1", server.ports["none"]), PATIENCE)
        server.configure({"listen": [*map(server.listener, kinds), *fresh]})
        assert server.reload().returncode == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.ports["starttls"]), PATIENCE)
        for connection in (waiting, socket.create_connection(("127.0.0.1", port), PATIENCE), connect_unix(path)):
            with connection:
                assert connection.recv(100).startswith(b"220 ")
        assert old.say("NOOP").startswith(b"250 ")
    server.configure({})
    assert server.reload().returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        connect_unix(path)
    with Client(server, "starttls") as client:
        assert "STARTTLS" in offered(client)
    server.configure({"listen": [*map(server.listener, kinds), *fresh]})  # what was left behind is no hindrance
    assert server.reload().returncode == 0
    with connect_unix(path) as connection:
        assert connection.recv(100).startswith(b"220 ")


def connect_unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def test_an_address_that_is_taken_is_a_reason_and_nothing_is_left_open(server: Server) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addresses = [f"127.0.0.1:{port}", f"127.0.0.1:{taken.getsockname()[1]}"]
        listen = [{"address": address, "tls": "none"} for address in addresses]
        server.configure({"listen": [server.listener("none"), *listen]})
        assert "Address already in use" in refused(server, os.EX_UNAVAILABLE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)


@pytest.mark.skipif(os.geteuid() != 0, reason="root was never dropped")
def test_a_port_of_root_s_is_told_with_what_to_do(server: Server) -> None:
    server.configure({"listen": [server.listener("none"), {"address": "127.0.0.1:7", "tls": "none"}]})
    assert "ports below 1024 are root's" in refused(server, os.EX_UNAVAILABLE)


def test_a_relay_that_is_a_listener_is_a_reason(server: Server) -> None:
    server.configure({"relay": {"address": f"127.0.0.1:{server.ports['none']}"}})
    assert "is a listener of our own" in refused(server, os.EX_CONFIG)


def test_the_clients_of_former_workers_count(server: Server) -> None:
    with Client(server, "none"), Client(server, "none"):
        server.configure({"limits": {"connections": 3, "connections_per_ip": 3}})
        assert server.reload().returncode == 0
        with Client(server, "none") as third, Client(server, "none") as fourth:
            assert third.greeting.startswith(b"220 ")
            assert fourth.greeting.startswith(b"421 ")


def test_former_workers_that_never_end_are_too_many_in_the_end(server: Server) -> None:
    """Each reload leaves one behind, until there is no row for the next."""
    clients = []
    try:
        while (result := server.reload()).returncode == 0:
            clients += [Client(server, "none") for _ in range(6)]
            assert len(clients) < 60
        assert result.returncode == os.EX_UNAVAILABLE
        assert "still have clients: try again later" in result.stderr
    finally:
        for client in clients:
            client.leave("close")
    wait_until(lambda: len(server.workers()) == 2)
    assert server.reload().returncode == 0


def test_a_stop_ends_former_workers_too(server: Server, events: Events) -> None:
    with Client(server, "none") as old:
        assert server.reload().returncode == 0
        wait_until(lambda: len(events.all("worker-retired")) == 1)
        workers = server.workers()
        assert len(workers) == 3
        assert server.stop() == 0
        assert old.reply().startswith(b"421 ")
        assert not any(map(is_alive, workers))


def test_nobody_is_told_to_reload_where_nobody_runs(installation: Server, sink: Sink) -> None:
    installation.configure({})
    result = installation.reload()
    assert result.returncode == os.EX_UNAVAILABLE
    assert result.stderr == f"no service runs that has {installation.folder}/state as its state_dir\n"
    with installation:
        os.kill(installation.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(installation.pid))
        assert (installation.folder / "state" / verdict.NAME).exists()
        assert installation.reload().returncode == os.EX_UNAVAILABLE


def test_a_faulty_file_is_told_before_anybody_is_asked(server: Server, events: Events) -> None:
    server.configuration.write_text("nonsense = 1\n")
    result = server.reload()
    assert result.returncode == os.EX_CONFIG
    assert "nonsense: is unknown" in result.stderr
    assert not events.all("reloading")


def test_who_says_so_twice_gets_two_answers(server: Server, events: Events) -> None:
    """Both at once: the second isn't told what came of the first, for that may have read an earlier file."""
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda: results.append(server.reload())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0, 0]
    assert 1 <= len(events.all("reloaded")) <= 2


def test_the_log_changes_with_it(server: Server, events: Events) -> None:
    server.configure({"log": {"format": "json"}})
    assert server.reload().returncode == 0
    with Client(server, "none") as client:
        client.say("QUIT")
    for name in ("reloaded", "connection"):
        wait_until(lambda name=name: f'"event": "{name}"' in (server.folder / "log").read_text())  # type: ignore[misc]
