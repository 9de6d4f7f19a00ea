"""Several workers, seen from outside: who dies, who is told what, and what they count together."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime

import pytest

from tests.service.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import PATIENCE, wait_until
from tests.support.server import HOSTNAME, Server, Settings
from tests.support.sink import Sink
from tests.support.workers import find_worker, is_alive

CONNECTIONS = 10
GOODBYE = b"421 4.3.2 Service shutting down, please try again in a moment\r\n"
OVERLOADED = b"421 4.3.2 "
MESSAGE = b"From: carol@example.com\r\n\r\nHi\r\n"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"limits": {"connections": CONNECTIONS, "connections_per_ip": CONNECTIONS}}


@contextmanager
def clients_of_each(server: Server, kind: str = "none") -> Iterator[dict[int, list[Client]]]:
    """Clients by their worker, of which each has one at least."""
    with ExitStack() as stack:
        clients: dict[int, list[Client]] = {worker: [] for worker in server.workers()}
        while not all(clients.values()):
            with ExitStack() as attempt:
                client = attempt.enter_context(Client(server, kind))
                worker = find_worker(server.workers(), client.port)
                if worker is not None and len(clients[worker]) < 3:  # None: too many who left were still counted
                    clients[worker].append(client)
                    stack.push(attempt.pop_all())
        yield clients


def fill(server: Server, stack: ExitStack) -> int:
    """Connect until there is no more room; how many came in."""
    count = 0
    while not (client := stack.enter_context(Client(server, "none"))).greeting.startswith(OVERLOADED):
        assert client.greeting.startswith(b"220 ")
        count += 1
    return count


def test_a_worker_that_dies_takes_only_its_own_sessions_with_it(server: Server, events: Events) -> None:
    with clients_of_each(server) as clients:
        victim, survivor = clients
        os.kill(victim, signal.SIGKILL)
        assert [client.reply() for client in clients[victim]] == [b""] * len(clients[victim])
        assert events.wait("worker-died")["pid"] == str(victim)
        assert events.all("worker-died")[0]["signal"] == "SIGKILL"
        replacement = int(events.wait("worker-started")["pid"])
        assert server.workers() == [survivor, replacement]
        for client in clients[survivor]:
            assert client.say("EHLO client.example").startswith(b"250-")
        with clients_of_each(server) as new:
            assert set(new) == {survivor, replacement}


def test_under_load_too(server: Server) -> None:
    """Who was greeted by another worker is served to the end, and whoever comes afterwards is."""
    victim = server.workers()[0]
    is_dead = threading.Event()
    served = threading.Semaphore(0)

    def use() -> list[int | None]:
        lost: list[int | None] = []
        after = 0
        while after < 20:
            after += is_dead.is_set()
            with Client(server, "none") as client:
                worker = find_worker(server.workers(), client.port) if client.greeting else victim
                try:
                    replies = [client.say("NOOP") for _ in range(20)]
                except ConnectionError:
                    replies = [b""]
                if all(replies):
                    served.release()
                else:
                    lost.append(worker)
        return lost

    with ThreadPoolExecutor(4) as executor:
        users = [executor.submit(use) for _ in range(4)]
        for _ in range(20):
            assert served.acquire(timeout=PATIENCE)
        os.kill(victim, signal.SIGKILL)
        is_dead.set()
        lost = [worker for user in users for worker in user.result()]
    assert set(lost) <= {victim, None}
    assert len(lost) <= 4


def test_a_worker_that_dies_again_and_again_is_given_time(server: Server, events: Events) -> None:
    for deaths in (1, 2):
        os.kill(server.workers()[-1], signal.SIGKILL)
        wait_until(lambda deaths=deaths: len(events.all("worker-started")) == deaths)  # type: ignore[misc]
    died, started = (
        [datetime.fromisoformat(event["time"]) for event in events.all(f"worker-{what}")]
        for what in ("died", "started")
    )
    assert (started[0] - died[0]).total_seconds() < 0.4
    assert (started[1] - died[1]).total_seconds() > 0.4


def test_all_workers_together_admit_so_many_and_a_dead_one_admits_nobody(server: Server) -> None:
    with ExitStack() as stack, clients_of_each(server) as clients:
        held = sum(map(len, clients.values()))
        assert held + fill(server, stack) == CONNECTIONS
        before = server.workers()
        victim = next(iter(clients))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(server.workers()) == 2 and server.workers() != before)
        freed = 0

        def fill_again() -> bool:
            nonlocal freed
            freed += fill(server, stack)
            return freed >= len(clients[victim])

        wait_until(fill_again)


def test_sigterm_drains_all_of_them_and_a_second_hastens_nothing(server: Server, sink: Sink, events: Events) -> None:
    with clients_of_each(server, "implicit") as clients:
        for first, *_ in clients.values():
            assert first.log_in(USER, PASSWORD).startswith(b"235 ")
            assert first.say("MAIL FROM:<carol@example.com>").startswith(b"250 ")
        os.kill(server.pid, signal.SIGTERM)
        events.wait("stopping")
        os.kill(server.pid, signal.SIGTERM)
        with ThreadPoolExecutor(1) as executor:
            exit_code = executor.submit(server.stop)
            for first, *others in clients.values():
                assert [client.reply() for client in others] == [GOODBYE] * len(others)
                assert first.say("RCPT TO:<dave@example.com>").startswith(b"250 ")
                assert first.say("DATA").startswith(b"354 ")
                assert first.send_message(MESSAGE).startswith(b"250 ")
                assert first.reply() == GOODBYE
            assert exit_code.result() == 0
    assert len(events.all("stopping")) == 1
    assert not events.all("worker-died")
    assert sum(len(connection.messages) for connection in sink.connections) == len(clients)


def test_a_terminal_s_ctrl_c_reaches_all_processes_and_drains_them(server: Server) -> None:
    for pid in (*server.workers(), server.pid):
        os.kill(pid, signal.SIGINT)
    assert server.stop() == 0


def test_a_session_is_resumed_by_another_worker(server: Server) -> None:
    context = server.client_context()
    seen: set[int] = set()
    session: ssl.SSLSession | None = None
    while len(seen) < 2:
        plain = socket.create_connection(("127.0.0.1", server.ports["implicit"]), PATIENCE)
        with context.wrap_socket(plain, server_hostname=HOSTNAME, session=session) as sock:
            assert sock.recv(100).startswith(b"220 ")  # TLS 1.3 sends its tickets with the first octets
            assert sock.session_reused == (session is not None)
            worker = find_worker(server.workers(), sock.getsockname()[1])
            assert worker is not None
            session = sock.session
            seen.add(worker)
            sock.sendall(b"QUIT\r\n")
            while sock.recv(100):  # until it is over, and no more counted
                pass


def test_workers_whose_supervisor_is_killed_end(installation: Server, events: Events) -> None:
    installation.start()
    with clients_of_each(installation) as clients:
        os.kill(installation.pid, signal.SIGKILL)
        for of_worker in clients.values():
            assert [client.reply() for client in of_worker] == [GOODBYE] * len(of_worker)
        wait_until(lambda: not any(map(is_alive, clients)))
    assert {event["pid"] for event in events.all("supervisor-gone")} == set(map(str, clients))
    assert installation.stop() == -signal.SIGKILL
