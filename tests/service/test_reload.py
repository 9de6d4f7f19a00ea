"""Another configuration for the running service: taken, refused, and what becomes of those who are connected."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.cli.reload import ask_for_reload
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


def reload(server: Server) -> Result:
    """Have it reload, as an admin does it."""
    return CliRunner().invoke(commands, ["reload", "-c", str(server.configuration)])


def offered(client: Client) -> str:
    return client.say("EHLO client.example").decode()


def test_new_sessions_have_the_new_settings_and_open_ones_the_old(server: Server, sink: Sink, events: Events) -> None:
    before = server.workers()
    with Client(server) as old:
        assert old.log_in(USER, PASSWORD).startswith(b"235 ")
        assert old.say("MAIL FROM:<carol@example.com>").startswith(b"250 ")
        server.configure({"limits": {"message_size": 12345}, "auth": {"mechanisms": ["DIGEST-MD5"]}})
        result = reload(server)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "ok\n", "")
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
    wait_until(lambda: {event["pid"] for event in events.all("worker-retired")} == set(map(str, before)))
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
    assert reload(server).exit_code == 0
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
            result = reload(server)
            assert result.exit_code == 0, result.stderr
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


def test_what_cannot_be_taken_is_refused_with_its_reason(server: Server) -> None:
    (server.folder / "state" / "directory").mkdir()
    put(server.folder / "garbage.pem", b"garbage")
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addresses = [f"127.0.0.1:{port}", f"127.0.0.1:{taken.getsockname()[1]}"]
        here = server.listener("none")
        listen = [here, *({"address": address, "tls": "none"} for address in addresses)]
        assert "Address already in use" in refused(server, {"listen": listen}, os.EX_UNAVAILABLE)
        if os.geteuid() == 0:
            listen = [here, {"address": "127.0.0.1:7", "tls": "none"}]
            assert "ports below 1024 are root's" in refused(server, {"listen": listen}, os.EX_UNAVAILABLE)
        listen = [here, {"address": "systemd:other", "tls": "none"}]
        assert "systemd passes sockets only at the start" in refused(server, {"listen": listen}, os.EX_CONFIG)
        assert is_refused(port)  # what could be had was given back
    relay = {"relay": {"address": f"127.0.0.1:{server.ports['none']}"}}
    assert "is a listener of our own" in refused(server, relay, os.EX_CONFIG)
    assert "garbage.pem" in refused(server, {"tls": {"certificate": "garbage.pem"}}, os.EX_CONFIG)
    assert "/state/directory" in refused(server, {"store": {"url": "sqlite:directory"}}, os.EX_CONFIG)  # by the workers
    put(server.folder / "garbage.pem", (server.folder / "server.pem").read_bytes())
    (server.folder / "server.pem").write_bytes(b"garbage")
    assert "server.pem" in refused(server, {}, os.EX_CONFIG)  # which a certificate's deploy hook has to hear
    (server.folder / "garbage.pem").replace(server.folder / "server.pem")
    restart = "a restart is needed for what changed: user\n"
    assert refused(server, {"user": "daemon"}, os.EX_CONFIG) == restart


def refused(server: Server, changes: Settings, code: int) -> str:
    """Why it refuses the changes; it goes on with the same workers."""
    server.configure(changes)
    before = server.workers()[:2]  # the eldest
    result = reload(server)
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    assert server.workers()[:2] == before
    with Client(server, "none") as client:
        assert "AUTH" in offered(client)
    return result.stderr


def test_every_fault_of_the_file_is_told(server: Server, events: Events) -> None:
    text = server.configuration.read_text()
    server.configuration.write_text("nonsense = 1\n" + text.replace('"starttls"', '"sometimes"', 1))
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: len(events.all("reload-refused")) == 2)
    reasons = [event["reason"] for event in events.all("reload-refused")]
    assert any(f"{server.configuration}:nonsense: is unknown" in reason for reason in reasons)
    assert any('.tls: "sometimes" must be' in reason for reason in reasons)
    wait_until(lambda: verdict.read(server.folder / "state").code == os.EX_CONFIG)  # type: ignore[union-attr]
    result = reload(server)  # which reads the file itself to know where the service is
    assert result.exit_code == os.EX_CONFIG
    assert "nonsense: is unknown" in result.stderr
    assert len(events.all("reloading")) == 1


def test_listeners_come_and_go_and_those_that_stay_are_never_closed(server: Server) -> None:
    kinds = [kind for kind in server.ports if kind != "starttls"]
    port = free_port()
    path = server.folder / "state" / "socket"
    fresh = [{"address": f"127.0.0.1:{port}", "tls": "none"}, {"address": f"unix:{path}", "tls": "none"}]
    with Client(server, "starttls") as old:
        waiting = socket.create_connection(("127.0.0.1", server.ports["none"]), PATIENCE)
        server.configure({"listen": [*map(server.listener, kinds), *fresh]})
        assert reload(server).exit_code == 0
        wait_until(lambda: is_refused(server.ports["starttls"]))
        for connection in (waiting, socket.create_connection(("127.0.0.1", port), PATIENCE), connect_unix(path)):
            with connection:
                assert connection.recv(100).startswith(b"220 ")
        assert old.say("NOOP").startswith(b"250 ")
    assert reload(server).exit_code == 0  # and those who made way didn't take what stays with them
    wait_until(lambda: len(server.workers()) == 2)
    with connect_unix(path) as connection:
        assert connection.recv(100).startswith(b"220 ")
    server.configure({})
    assert reload(server).exit_code == 0
    wait_until(lambda: is_refused(port))
    with pytest.raises(ConnectionRefusedError):
        connect_unix(path)
    with Client(server, "starttls") as client:
        assert "STARTTLS" in offered(client)
    server.configure({"listen": [*map(server.listener, kinds), *fresh]})  # what was left behind is no hindrance
    assert reload(server).exit_code == 0
    with connect_unix(path) as connection:
        assert connection.recv(100).startswith(b"220 ")
    path.unlink()  # somebody tidies up
    assert reload(server).exit_code == 0
    with connect_unix(path) as connection:
        assert connection.recv(100).startswith(b"220 ")


def is_refused(port: int) -> bool:
    """Whether nobody listens there, which those who make way see to in a moment of their own."""
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        return sock.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def connect_unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def test_the_clients_of_former_workers_count(server: Server) -> None:
    with Client(server, "none"), Client(server, "none"):
        server.configure({"limits": {"connections": 3, "connections_per_ip": 3}})
        assert reload(server).exit_code == 0
        with Client(server, "none") as third, Client(server, "none") as fourth:
            assert third.greeting.startswith(b"220 ")
            assert fourth.greeting.startswith(b"421 ")


def test_former_workers_that_never_end_are_too_many_in_the_end_and_make_room(server: Server) -> None:
    """Each reload leaves some behind, until there is no row for the next. Then the first have to end."""
    clients = []
    try:
        while (result := reload(server)).exit_code == 0:
            clients += [Client(server, "none") for _ in range(6)]
            assert len(clients) < 60
        assert result.exit_code == os.EX_UNAVAILABLE
        assert "still have clients: the first of them end now, try again in a minute" in result.stderr
        wait_until(lambda: reload(server).exit_code == 0)
        assert clients[-1].say("NOOP").startswith(b"250 ")
        wait_until(lambda: reload(server) and b"421" in {client.say("NOOP")[:3] for client in clients[:-6]})
    finally:
        for client in clients:
            client.leave("close")
    wait_until(lambda: len(server.workers()) == 2)


def test_a_stop_ends_former_workers_too(server: Server, events: Events) -> None:
    with Client(server, "none") as old:
        assert reload(server).exit_code == 0
        wait_until(lambda: len(events.all("worker-retired")) == 1)
        workers = server.workers()
        assert len(workers) == 3
        assert server.stop() == 0
        assert old.reply().startswith(b"421 ")
        assert not any(map(is_alive, workers))


def test_nobody_is_told_to_reload_where_nobody_runs(installation: Server, sink: Sink) -> None:
    installation.configure({})
    result = reload(installation)
    assert result.exit_code == os.EX_UNAVAILABLE
    assert result.stderr == f"no service runs that has {installation.folder}/state as its state_dir\n"
    with installation:
        os.kill(installation.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(installation.pid))
        assert (installation.folder / "state" / verdict.NAME).exists()
        assert reload(installation).exit_code == os.EX_UNAVAILABLE


def test_who_says_so_twice_gets_two_answers(server: Server, events: Events) -> None:
    """Both at once: the second isn't told what came of the first, for that may have read an earlier file."""
    since = time.monotonic_ns()
    with ThreadPoolExecutor(2) as executor:
        answers = list(executor.map(ask_for_reload, [server.folder / "state"] * 2))
    assert [answer.code for answer in answers] == [0, 0]
    assert all(answer.begun > since for answer in answers)
    assert 1 <= len(events.all("reloaded")) <= 2


def test_the_log_changes_with_it(server: Server, events: Events) -> None:
    server.configure({"log": {"format": "json"}})
    assert reload(server).exit_code == 0
    with Client(server, "none") as client:
        client.say("QUIT")
    for name in ("reloaded", "connection"):
        wait_until(lambda name=name: f'"event": "{name}"' in (server.folder / "log").read_text())  # type: ignore[misc]
