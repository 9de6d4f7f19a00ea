"""One user on many connections to two workers: however it is tried, no more goes out than the limit allows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.service.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import wait_until
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Sink, reply, script

MOST, CONNECTIONS = 100, 20
MESSAGE = b"From: carol@example.com\r\n\r\nHi\r\n"


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    """The alert writes down what it is told, where the service's user may write."""
    command = 'echo "$SUBMISSION_USER $SUBMISSION_LIMIT $1 $(id -un)" >> "$2"'
    file = folder / "server/state/alerts"
    return {
        "limits": {
            "user": {
                "messages_per_hour": MOST,
                "connections": CONNECTIONS,
                "alert": ["/bin/sh", "-c", command, "alert", "$(reboot)", str(file)],
            }
        }
    }


@pytest.fixture(autouse=True)
def beginning(installation: Server, folder: Path) -> None:
    """Nobody has sent anything."""
    limits(installation, "clear", "--all")
    (folder / "server/state/alerts").unlink(missing_ok=True)


def limits(server: Server, *arguments: str) -> str:
    command = [sys.executable, "-m", "submission", "limits", *arguments, "-c", str(server.configuration)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def send_all(server: Server, refused: threading.Event | None = None) -> int:
    """Send until there is no more to be sent, or the connection is lost; how many were taken."""
    taken = 0
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235")
        while (said := client.submit(MESSAGE, "bob@test.example")).startswith(b"250"):
            taken += 1
        assert said == b"" or said.startswith(b"450 4.7.1 Limit of 100 messages per hour reached, try again after 20")
        if refused is not None and said:
            refused.set()
    return taken


def delivered(sink: Sink) -> int:
    return sum(len(connection.messages) for connection in sink.connections)


def kill_workers(server: Server, events: Events) -> None:
    dead = server.workers()
    for worker in dead:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(server.workers()) == 2 and not set(server.workers()) & set(dead))
    wait_until(lambda: len(events.all("worker-started")) >= 2)


def test_twenty_connections_at_once_send_what_one_may(server: Server, sink: Sink, events: Events, folder: Path) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        taken = sum(threads.map(lambda _: send_all(server), range(CONNECTIONS)))
    assert MOST - 5 <= taken <= MOST  # what another worker had taken ahead may have been missed
    assert delivered(sink) == taken
    wait_until(lambda: limits(server, "show", USER).split("\t")[2] == str(taken))  # and is handed back
    taken += send_all(server)
    assert taken == delivered(sink) == MOST
    assert limits(server, "show", USER).startswith("carol@example.com\tmessages_per_hour\t100\t100\t20")
    assert {event["limit"] for event in events.all("limited")} == {"messages_per_hour"}
    assert events.all("limited")[0]["user"] == "carol@example.com"

    assert send_all(server) == 0
    kill_workers(server, events)
    assert send_all(server) == 0
    server.stop()
    server.start()
    assert send_all(server) == 0
    owner = "nobody" if os.geteuid() == 0 else subprocess.check_output(["id", "-un"], text=True).strip()
    told = (folder / "server/state/alerts").read_text()
    assert told == f"carol@example.com messages_per_hour $(reboot) {owner}\n"  # once, in all of this

    limits(server, "clear", USER)
    assert send_all(server) == MOST


def test_workers_that_are_killed_in_the_middle_let_nothing_more_through(
    server: Server, sink: Sink, events: Events
) -> None:
    refused = threading.Event()

    def send(_: int) -> int:
        taken = 0
        while not refused.is_set():
            try:
                taken += send_all(server, refused)
            except (OSError, AssertionError):  # the worker died in the middle of something
                continue
        return taken

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        sending = [threads.submit(send, number) for number in range(CONNECTIONS)]
        wait_until(lambda: delivered(sink) >= 20)
        os.kill(server.workers()[0], signal.SIGKILL)
        wait_until(lambda: delivered(sink) >= 40 or refused.is_set())
        os.kill(server.workers()[-1], signal.SIGKILL)
        for each in sending:
            each.result()
    assert 40 <= delivered(sink) <= MOST


def test_a_user_has_only_so_many_connections(server: Server, events: Events) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(CONNECTIONS + 1)]
        for client in clients:
            assert client.log_in(USER, PASSWORD).startswith(b"235")
        for client in clients[:-1]:
            assert client.say("MAIL FROM:<carol@example.com>").startswith(b"250")
        said = clients[-1].say("MAIL FROM:<carol@example.com>")
        assert said == b"450 4.7.1 Limit of 20 connections at once reached, close one and try again\r\n"
        assert events.wait("limited")["limit"] == "connections"
        clients[0].say("QUIT")
        wait_until(lambda: clients[-1].say("MAIL FROM:<carol@example.com>").startswith(b"250"))
        wait_until(lambda: limits(server, "show", USER).split("\t")[2] == "20")  # what is under way counts
    wait_until(lambda: limits(server, "show", USER).split("\t")[2] == "0")


def listening(server: Server) -> set[int]:
    """The processes whose the listener's socket is: a worker of the crew before may take a client yet."""
    command = ["ss", "--no-header", "--listening", "--tcp", "--processes", f"sport = :{server.ports['implicit']}"]
    return set(map(int, re.findall(r"pid=(\d+)", subprocess.check_output(command, text=True))))


def test_a_reload_brings_other_limits_and_what_was_sent_still_counts(server: Server, events: Events) -> None:
    before = server.workers()
    assert set(before) <= listening(server)
    with Client(server) as client:
        client.log_in(USER, PASSWORD)
        assert all(client.submit(MESSAGE, "bob@test.example").startswith(b"250") for _ in range(3))
        with reloaded(server, events, "messages_per_hour = 100", "messages_per_hour = 4"):
            wait_until(lambda: not listening(server) & set(before))
            with Client(server) as other:
                other.log_in(USER, PASSWORD)
                wait_until(lambda: limits(server, "show", USER).split("\t")[2:4] == ["3", "4"])
                assert other.submit(MESSAGE, "bob@test.example").startswith(b"250")
                assert other.submit(MESSAGE, "bob@test.example").startswith(b"450 4.7.1 Limit of 4 messages")
            assert client.submit(MESSAGE, "bob@test.example").startswith(b"250")  # it has what it started with


@contextmanager
def reloaded(server: Server, events: Events, old: str, new: str) -> Iterator[None]:
    """The server with a line of its configuration changed, which is as it was in the end."""
    before = server.configuration.read_text()
    server.configuration.write_text(before.replace(old, new))
    server.hang_up()
    events.wait("reloaded")
    try:
        yield
    finally:
        server.configuration.write_text(before)


def test_a_message_of_which_nobody_knows_counts(server: Server, sink: Sink) -> None:
    sink.answer = script({".": reply()})
    with Client(server) as client:
        client.log_in(USER, PASSWORD)
        for command in ("MAIL FROM:<carol@example.com>", "RCPT TO:<bob@test.example>", "DATA"):
            client.say(command)
        client.send(MESSAGE + b".\r\n")
        wait_until(lambda: delivered(sink) == 1)
        sink.disconnect()
        assert client.reply().startswith(b"451 4.4.2")
    server.stop()
    assert limits(server, "show", USER).split("\t")[2] == "1"


def test_a_user_who_reaches_a_limit_is_suspended_if_asked(sink: Sink) -> None:
    with public_folder() as folder:
        user = {"messages_per_day": 1, "suspend": True}
        server = Server(folder, sink.address, {"workers": 2, "limits": {"user": user}})
        server.add_user(USER, PASSWORD)
        with server, Client(server) as client, Client(server) as other:
            events = Events(server)
            for each in (client, other):
                assert each.log_in(USER, PASSWORD).startswith(b"235")
            assert client.submit(MESSAGE, "bob@test.example").startswith(b"250")
            assert other.submit(MESSAGE, "bob@test.example").startswith(b"450 4.7.1")
            assert events.wait("suspended")["user"] == "carol@example.com"
            limits(server, "clear", USER)
            wait_until(lambda: other.submit(MESSAGE, "bob@test.example").startswith(b"550 5.7.1"))  # within a second
            with Client(server) as third:
                assert third.log_in(USER, PASSWORD).startswith(b"535")
