"""What the service with two workers tells of itself, by HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.events import Events
from tests.support.granting import JOE, MailLog
from tests.support.monitored import occupied
from tests.support.network import PATIENCE, free_port, wait_until
from tests.support.server import Server, Settings
from tests.support.sink import Answer, Sink, reply, script
from tests.support.workers import find_worker

PORT = free_port()
MESSAGE = b"From: carol@example.com\r\n\r\nHi\r\n"


@pytest.fixture(scope="module")
def mail_log(folder: Path) -> MailLog:
    return MailLog(folder / "mail.log")


@pytest.fixture(scope="module")
def settings(mail_log: MailLog) -> Settings:
    return {
        "metrics": {"address": f"127.0.0.1:{PORT}"},
        "limits": {"connections_per_ip": 12},
        "pop_before_smtp": {"enabled": True, "logs": [str(mail_log.path)], "formats": ["dovecot"]},
    }


def get(path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def status() -> Any:
    return json.loads(get("/status.json")[1])


def samples() -> dict[tuple[str, ...], float]:
    """What Prometheus would see, by name and values of labels."""
    families = text_string_to_metric_families(get("/metrics")[1].decode())
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def value(*key: str) -> float:
    return samples()[key]


def use(server: Server, sink: Sink) -> int:
    """A message, a refused one and a failed login on each worker; how many clients it took until each had one."""
    seen: set[int | None] = set()
    clients = 0
    while len(seen) < 2:
        with Client(server) as client:
            worker = find_worker(server.workers(), client.port)
            clients += 1
            if worker in seen:
                continue
            seen.add(worker)
            assert client.log_in(USER, "guess").startswith(b"535 ")
            assert client.log_in(USER, PASSWORD).startswith(b"235 ")
            assert client.submit(MESSAGE, "dave@example.com").startswith(b"250 ")
            sink.answer = script({".": reply("554 5.7.1 no")})
            assert client.submit(MESSAGE, "dave@example.com").startswith(b"554 ")
            sink.answer = script()
    return clients


def test_what_two_workers_did_is_counted_together(server: Server, sink: Sink) -> None:
    clients = use(server, sink)
    wait_until(lambda: value("submission_connections") == 0)
    found = samples()
    assert found["submission_connections_total", f"127.0.0.1:{server.ports['implicit']}"] == clients
    assert found["submission_auth_total", "CRAM-MD5", "ok"] == 2
    assert found["submission_auth_total", "CRAM-MD5", "fail"] == 2
    assert found["submission_messages_total", "ok", "auth"] == 2
    assert found["submission_messages_total", "refused", "auth"] == 2
    assert found["submission_message_bytes_total",] == 2 * len(MESSAGE)
    assert found["submission_relay_seconds_count",] == 4
    assert found["submission_relay_seconds_bucket", "300.0"] == 4
    assert 0 < found["submission_certificate_expiry_seconds",] < 1e9


def test_clients_are_counted_while_they_are_there_and_those_without_room(server: Server) -> None:
    with Client(server, "none"), Client(server, "none"):
        assert value("submission_connections") == 2
        assert status()["sessions"] == 2
    clients = [Client(server, "none") for _ in range(16)]
    assert value("submission_limited_total", "connections") >= 4
    for client in clients:
        client.leave("close")


def test_a_message_that_a_dead_worker_left_in_doubt_is_told_and_counted(
    server: Server, sink: Sink, events: Events
) -> None:
    before = value("submission_messages_total", "unknown", "auth")
    ended = threading.Event()

    def answer(step: str) -> Answer:
        if step == ".":
            ended.set()
            return Answer(then="silence")
        return taking(step)

    taking = script()
    sink.answer = answer
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        client.say_each("MAIL FROM:<carol@example.com>", "RCPT TO:<dave@example.com>", "DATA")
        client.send(MESSAGE + b".\r\n")
        assert ended.wait(PATIENCE)
        victim = find_worker(server.workers(), client.port)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        events.wait("worker-died")
    found = events.all("message")[-1]
    session = found.pop("session")
    assert found == {
        "time": found["time"],
        "event": "message",
        "result": "unknown",
        "user": "carol@example.com",
        "ip": "127.0.0.1",
        "via": "auth",
        "from": "carol@example.com",
        "nrcpt": "1",
        "size": str(len(MESSAGE)),
        "id": f"{session}.1",
        "reason": "worker died",
    }
    assert value("submission_messages_total", "unknown", "auth") == before + 1
    sink.disconnect()


def test_nothing_that_a_dead_worker_counted_is_lost(server: Server, sink: Sink, events: Events) -> None:
    use(server, sink)
    wait_until(lambda: value("submission_connections") == 0)
    before = samples()
    with Client(server, "none") as client:
        victim = find_worker(server.workers(), client.port)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        events.wait("worker-started")
    wait_until(lambda: value("submission_connections") == 0)
    after = samples()
    assert all(after[key] >= count for key, count in before.items() if key[0].endswith(("_total", "_count", "_bucket")))


def test_logins_by_pop_and_what_is_sent_by_them_are_counted(server: Server, mail_log: MailLog) -> None:
    mail_log.log_in("joe", JOE)
    wait_until(lambda: value("submission_pop_grants") == 1)
    assert value("submission_pop_logins_total", "dovecot") == 1
    assert [(row["address"], row["user"]) for row in status()["grants"]["rows"]] == [(JOE, "joe@example.com")]
    with Client(server, "balanced-starttls", proxied_for=JOE) as client:
        client.say("EHLO client.example")
        assert client.submit(MESSAGE, "dave@example.com").startswith(b"250 ")
    assert value("submission_messages_total", "ok", "pop") == 1


def test_health_is_red_while_the_relay_is_away(installation: Server, sink: Sink) -> None:
    sink.answer = script({"connect": reply("554 5.3.2 not now")})
    with installation:
        code, text = get("/healthz")
        assert (code, text.startswith(b"relay: ")) == (503, True)
        assert b"store: ok\ncertificates: ok\n" in text


def test_health_is_green_while_all_is_well_and_nobody_answers_when_all_is_over(server: Server) -> None:
    assert get("/healthz") == (200, b"relay: ok\nstore: ok\ncertificates: ok\n")
    command = [sys.executable, "-m", "submission", "status", "--once", "-c", str(server.configuration)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "health\tstore\tok" in shown.stdout
    assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        get("/healthz")


def test_a_port_that_is_taken_keeps_nobody_from_sending_mail(installation: Server, events: Events) -> None:
    with occupied(PORT), installation:
        assert events.wait("metrics-unavailable")["reason"].startswith(f"127.0.0.1:{PORT}: ")
        with Client(installation, "none") as client:
            assert client.greeting.startswith(b"220 ")


@pytest.fixture
def token(installation: Server) -> Iterator[Path]:
    """The configuration names a token, whose file is the test's to make."""
    file = installation.folder / "token"
    installation.configure({"metrics": {"address": f"127.0.0.1:{PORT}", "token_file": str(file)}})
    yield file
    installation.configure({})


def test_a_token_is_read_before_root_is_dropped(installation: Server, sink: Sink, token: Path) -> None:
    token.write_text("0123456789abcdef\n")
    token.chmod(0o600)
    with installation:
        assert get("/healthz")[0] == 401
        command = [sys.executable, "-m", "submission", "status", "--once", "-c", str(installation.configuration)]
        assert subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0
    token.unlink()
    with pytest.raises(RuntimeError, match=r"metrics\.token_file: .* No such file"):
        installation.start()


def test_a_reload_ends_no_count_and_has_new_ones(server: Server, sink: Sink) -> None:
    use(server, sink)
    with Client(server) as client:  # whose worker, of the former configuration, goes on with it
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        port = free_port()
        server.configure({"listen": [server.listener("implicit"), server.listener("none", port)]})
        try:
            command = [sys.executable, "-m", "submission", "reload", "-c", str(server.configuration)]
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        finally:
            server.configure({})
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        wait_until(lambda: samples().get(("submission_connections_total", f"127.0.0.1:{port}")) == 1)
        assert client.submit(MESSAGE, "dave@example.com").startswith(b"250 ")
        assert value("submission_messages_total", "ok", "auth") == 3
        assert sum(status()["charts"]["hour"]["messages"]) == 3
