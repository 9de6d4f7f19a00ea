"""POP before SMTP from the log to the message: followed by one process, allowed by two workers, told to sendmail."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.test_reload import reload
from tests.support.client import Client
from tests.support.events import Events
from tests.support.granting import EVE, JOE, MailLog, login_line, pop, reply_to_mail
from tests.support.network import wait_until
from tests.support.server import REALM, Server, Settings, public_folder
from tests.support.sink import Sink
from tests.support.workers import find_worker, is_alive

MESSAGE = b"From: joe@example.com\r\n\r\nHello\r\n"


@pytest.fixture
def mail_log(folder: Path) -> MailLog:
    (folder / "logs").mkdir(exist_ok=True)
    return MailLog(folder / "logs" / "mail.log")


@pytest.fixture
def settings(folder: Path, mail_log: MailLog) -> Settings:
    return {
        "pop_before_smtp": {
            "enabled": True,
            "logs": [f"{folder}/logs/*.log", f"syslog:{folder}/socket"],
            "formats": ["dovecot"],
            "shared": ["198.51.100.64/26"],
            "deny": ["203.0.113.0/24"],
            "sendmail": {"socketmap": "popip", "text_map": "popip.txt"},
        },
        "policy": {"hide_client": False},
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


@pytest.fixture
def server(folder: Path, sink: Sink, settings: Settings) -> Iterator[Server]:
    (folder / "server").mkdir()
    server = Server(folder / "server", sink.address, {"workers": 2, **settings})
    server.add_user("alice", "sesame")
    with server:
        yield server


def granted(server: Server, address: str) -> bool:
    return reply_to_mail(server, address).startswith(b"250 ")


def ask_as_sendmail(server: Server, address: str) -> str:
    """What the socketmap says."""
    query = f"popip {address}"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(server.folder / "popip"))
        sock.sendall(f"{len(query)}:{query},".encode())
        return sock.recv(1000).decode().partition(":")[2].removesuffix(",")


def test_a_login_is_a_grant_in_every_worker_and_for_sendmail(server: Server, mail_log: MailLog, sink: Sink) -> None:
    events = Events(server)
    assert reply_to_mail(server, JOE).startswith(b"530 ")
    assert ask_as_sendmail(server, JOE) == "NOTFOUND "
    mail_log.log_in("joe", JOE)
    mail_log.log_in("eve@example.org", EVE)
    wait_until(lambda: len(events.all("grant")) == 2)
    joe, eve = events.all("grant")
    assert (joe["user"], joe["ip"], joe["proto"], joe["server"]) == ("joe@example.com", JOE, "pop3", "dovecot")
    assert (eve["user"], eve["ip"]) == ("eve@example.org", EVE)
    clients, workers = [], set()
    while len(workers) < 2:
        client = Client(server, "balanced-starttls", proxied_for=JOE)
        clients.append(client)
        client.say("EHLO client.example")
        assert client.submit(MESSAGE, "bob@test.example").startswith(b"250 ")
        workers.add(find_worker(server.workers(), client.port))
    for client in clients:
        client.leave("close")
    message = events.wait("message")
    assert (message["via"], message["user"], message["ip"]) == ("pop", "joe@example.com", JOE)
    assert b"Received: from client.example ([198.51.100.23]) (user joe@example.com via pop)\r\n" in b"".join(
        connection.received for connection in sink.connections
    )
    assert granted(server, EVE)
    assert reply_to_mail(server, "198.51.100.24").startswith(b"530 ")
    assert ask_as_sendmail(server, JOE) == "OK joe@example.com"
    assert ask_as_sendmail(server, "ipv6:2001:db8:0:0:0:0:0:50") == "OK eve@example.org"
    assert ask_as_sendmail(server, "198.51.100.24") == "NOTFOUND "


def test_a_reload_brings_back_a_socket_that_somebody_took_away(server: Server) -> None:
    """Regression: the one that nobody found any more was handed on, and sendmail refused all mail until a restart."""
    events = Events(server)
    (server.folder / "popip").unlink()
    server.hang_up()
    events.wait("reloaded")
    assert ask_as_sendmail(server, JOE) == "NOTFOUND "


def test_shared_and_denied_addresses_have_no_grants_whatever_the_log_says(server: Server, mail_log: MailLog) -> None:
    events = Events(server)
    for address in ("198.51.100.65", "203.0.113.9", JOE):
        mail_log.log_in("joe", address)
    events.wait("grant")
    assert [event["ip"] for event in events.all("grant")] == [JOE]
    pop(server, "add", "203.0.113.9", "joe")
    pop(server, "add", "198.51.100.65", "joe")
    assert not granted(server, "203.0.113.9")
    assert not granted(server, "198.51.100.65")
    assert ask_as_sendmail(server, "203.0.113.9") == "NOTFOUND "


def test_an_admin_gives_and_takes_and_time_does(server: Server) -> None:
    pop(server, "add", JOE, "joe")
    assert granted(server, JOE)
    wait_until(lambda: ask_as_sendmail(server, JOE) == "OK joe@example.com")
    pop(server, "remove", JOE)
    assert not granted(server, JOE)
    wait_until(lambda: ask_as_sendmail(server, JOE) == "NOTFOUND ")
    pop(server, "add", "--for", "2s", JOE, "joe")
    with Client(server, "balanced-starttls", proxied_for=JOE) as client:
        client.say("EHLO client.example")
        assert client.submit(MESSAGE, "bob@test.example").startswith(b"250 ")
        wait_until(lambda: client.say("MAIL FROM:<>").startswith(b"530 ") or not client.say("RSET"))
    assert ask_as_sendmail(server, JOE) == "NOTFOUND "


def test_a_listener_can_be_for_those_alone_who_authenticate(folder: Path, sink: Sink, settings: Settings) -> None:
    (folder / "server").mkdir()
    server = Server(folder / "server", sink.address, settings)
    text = server.configuration.read_text()
    server.configuration.write_text(text.replace("[[listen]]\n", "[[listen]]\npop_before_smtp = false\n"))
    with server:
        pop(server, "add", JOE, "joe")
        assert reply_to_mail(server, JOE).startswith(b"530 5.7.0 ")


def test_the_text_map_has_the_table_and_is_empty_when_the_service_has_gone(server: Server, mail_log: MailLog) -> None:
    path = server.folder / "popip.txt"
    assert path.read_text() == ""
    mail_log.log_in("joe", JOE)
    mail_log.log_in("eve@example.org", EVE)
    wait_until(lambda: path.read_text().count("|") == 2)
    assert path.read_text() == f"{JOE}|joe@example.com\nipv6:2001:db8:0:0:0:0:0:50|eve@example.org\n"
    assert server.stop() == 0
    assert path.read_text() == ""


def test_logins_while_the_service_was_away_count_from_when_they_were(server: Server, mail_log: MailLog) -> None:
    mail_log.log_in("joe", JOE)
    wait_until(lambda: granted(server, JOE))
    server.stop()
    mail_log.path.rename(mail_log.path.with_name("mail.log.1"))
    mail_log.log_in("eve@example.org", EVE)
    with mail_log.path.open("a") as file:
        file.write("Jan  1 00:00:00" + login_line("old", "198.51.100.30")[15:])
    events = Events(server)
    server.start()
    events.wait("grant")
    assert [event["user"] for event in events.all("grant")] == ["eve@example.org"]
    assert granted(server, JOE)
    assert granted(server, EVE)
    assert not granted(server, "198.51.100.30")


def logins(server: Server) -> int:
    return sum(entry["logins"] for entry in json.loads(pop(server, "report", "--format", "json")))


def attendant(server: Server) -> int:
    """The one process that holds the log open. In the moment of a rotation, or of a new start, nobody does."""
    found: list[int] = []

    def is_found() -> bool:
        with contextlib.suppress(FileNotFoundError):
            found[:] = [pid for pid in server.workers() if holds_log(pid)]
        return len(found) == 1

    wait_until(is_found)
    return found[0]


def holds_log(pid: int) -> bool:
    return any(str(link.readlink()).endswith("/logs/mail.log") for link in Path(f"/proc/{pid}/fd").iterdir())


def test_every_login_counts_once_however_often_the_process_that_follows_is_killed(
    server: Server, mail_log: MailLog
) -> None:
    count, written = 2000, threading.Event()

    def write() -> None:
        for number in range(count):
            mail_log.log_in("joe", JOE)
            if number == count // 2:
                mail_log.path.rename(mail_log.path.with_name("mail.log.1"))
        written.set()

    wait_until(lambda: len(server.workers()) == 3)
    writer = threading.Thread(target=write)
    writer.start()
    kills = 0
    while not written.is_set() or not kills:
        pid = attendant(server)
        os.kill(pid, signal.SIGKILL)
        kills += 1
        wait_until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
        wait_until(lambda: len(server.workers()) == 3)
    writer.join()

    wait_until(lambda: logins(server) == count)
    assert granted(server, JOE)


def test_a_reload_loses_no_login_and_counts_none_twice(server: Server, mail_log: MailLog) -> None:
    is_over, count = threading.Event(), 0

    def write() -> None:
        nonlocal count
        while not is_over.is_set():
            mail_log.log_in("joe", JOE)
            count += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: ask_as_sendmail(server, JOE) == "OK joe@example.com")
        for _ in range(4):
            result = reload(server)
            assert result.stdout == "ok\n", result.stderr
            assert ask_as_sendmail(server, JOE) == "OK joe@example.com"
            wait_until(lambda: len(server.workers()) == 3)  # there is no room for more than four crews
    finally:
        is_over.set()
        writer.join()
    wait_until(lambda: logins(server) >= count)
    mail_log.log_in("eve", EVE)
    wait_until(lambda: granted(server, EVE))
    assert logins(server) == count + 1


def test_what_is_sent_to_the_syslog_socket_waits_for_whoever_reads_it(server: Server, folder: Path) -> None:
    def send(count: int) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            for _ in range(count):
                sock.sendto(b"<22>" + login_line("joe", JOE).encode(), f"{folder}/socket")

    follower = attendant(server)
    os.kill(follower, signal.SIGSTOP)
    send(5)  # the kernel holds ten, unless told otherwise
    os.kill(follower, signal.SIGKILL)
    wait_until(lambda: logins(server) == 5)
    send(5)
    assert reload(server).stdout == "ok\n"
    send(5)
    wait_until(lambda: logins(server) == 15)


def test_who_relies_on_it_is_known_and_who_no_longer_needs_it(server: Server, mail_log: MailLog) -> None:
    def relied() -> dict[str, object]:
        (entry,) = json.loads(pop(server, "report", "--format", "json"))
        return entry

    mail_log.log_in("alice", JOE)
    wait_until(lambda: granted(server, JOE))
    with Client(server, "balanced-starttls", proxied_for=JOE) as client:
        client.say("EHLO client.example")
        client.submit_until_taken(MESSAGE, "bob@test.example")
    wait_until(lambda: relied()["messages"] == 1)
    assert relied()["user"] == f"alice@{REALM}"
    assert relied()["authenticated"] == 0
    assert "yes" in pop(server, "report")
    with Client(server) as client:
        assert client.log_in("alice", "sesame").startswith(b"235 ")
    wait_until(lambda: relied()["authenticated"] != 0)
    assert "no, authenticates" in pop(server, "report")


def test_a_disabled_account_sends_by_no_grant(server: Server, mail_log: MailLog) -> None:
    mail_log.log_in("alice", JOE)
    mail_log.log_in("joe", EVE)  # has no account, which is no reason
    wait_until(lambda: granted(server, JOE))
    command = [sys.executable, "-m", "submission", "user", "disable", "alice", "-c", str(server.configuration)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    wait_until(lambda: not granted(server, JOE))
    wait_until(lambda: granted(server, EVE))


def test_a_table_that_cannot_be_read_lets_nobody_in(server: Server, mail_log: MailLog) -> None:
    mail_log.log_in("joe", JOE)
    wait_until(lambda: granted(server, JOE))
    events = Events(server)
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (server.folder / "state" / name).unlink()
    (server.folder / "state" / "state.db").mkdir()
    assert reply_to_mail(server, JOE).startswith(b"454 4.7.0 ")
    events.wait("state-unavailable")
    wait_until(lambda: ask_as_sendmail(server, JOE).startswith("TEMP "))


def test_who_has_no_account_here_sends_by_a_grant_though_accounts_may_be_suspended(
    server: Server, mail_log: MailLog
) -> None:
    server.configure({"limits": {"user": {"messages_per_day": 9, "suspend": True}}})
    assert reload(server).exit_code == 0
    mail_log.log_in("joe", JOE)
    mail_log.log_in("Alice", EVE)
    wait_until(lambda: granted(server, JOE) and granted(server, EVE))
    command = [sys.executable, "-m", "submission", "user", "disable", "alice", "-c", str(server.configuration)]
    subprocess.run(command, check=True, timeout=30)
    wait_until(lambda: reply_to_mail(server, EVE).startswith(b"530 5.7.0 "))
    assert granted(server, JOE)
