"""Real POP and IMAP servers, logged into from addresses that aren't loopback's, and what their lines give.

All of it happens in a network of its own. What the servers say to /dev/log is written down by rsyslogd in every form
that it knows, or heard by a socket of ours in its place.
"""

from __future__ import annotations

import itertools
import smtplib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from submission.popwatch.syslog import bind_syslog
from submission.popwatch.watcher import Watcher
from tests.support.events import Events
from tests.support.machine import Machine, private_network
from tests.support.network import PATIENCE, wait_until
from tests.support.pop_servers import PACKAGES, SERVERS, log_in
from tests.support.poplog import shown
from tests.support.rsyslog import FORMS, rsyslog
from tests.support.sendmail import Sendmail
from tests.support.server import REALM, Server, public_folder

SMTP_PORT = 25
USER = "joe"
PASSWORD = "secret"  # Dovecot's, for everybody
HOSTS = ("192.0.2.1", "2001:db8::1")
"""Addresses of the servers'."""
CLIENTS = {"192.0.2.1": "198.51.100.23", "2001:db8::1": "2001:db8::50"}
STRANGERS = {"192.0.2.1": "203.0.113.66", "2001:db8::1": "2001:db8::66"}
"""Who connects to each of them."""
FORGERS = (
    USER,
    "joe, ip=[203.0.113.66], port=[1], protocol=POP3",
    "joe>, method=PLAIN, rip=203.0.113.66, lip=192.0.2.1, mpid=1, session=<a>",
    "joe' logged in (source: system)",
)
"""Names that are tried with a wrong password."""


@pytest.fixture(scope="module", autouse=True)
def network() -> Iterator[None]:
    with private_network([*HOSTS, *CLIENTS.values(), *STRANGERS.values()]):
        yield


@pytest.fixture
def place() -> Iterator[Path]:
    with public_folder() as path:
        yield path


@pytest.fixture
def machine(place: Path) -> Iterator[Machine]:
    with Machine(place, PACKAGES) as machine:
        machine.add_user(USER, PASSWORD)
        yield machine


def visit(name: str, ports: Mapping[str, int]) -> set[str]:
    """Fail to log in, in every way, and log in meanwhile; what has to follow from it."""
    hosts = HOSTS[:1] if name == "popa3d" else HOSTS  # it speaks IPv4 only
    with ThreadPoolExecutor(len(hosts) * len(ports) * len(FORGERS)) as pool:
        failures = [
            pool.submit(log_in, protocol, (host, port), STRANGERS[host], forger, "wrong")
            for host, (protocol, port), forger in itertools.product(hosts, ports.items(), FORGERS)
        ]
        logins = [
            (log_in(protocol, (host, port), CLIENTS[host], USER, PASSWORD), f"{USER} {CLIENTS[host]} {protocol}")
            for host, (protocol, port) in itertools.product(hosts, ports.items())
        ]
        assert not any(failure.result() for failure in failures)
    assert all(was_let_in for was_let_in, _ in logins)
    return {verdict for _, verdict in logins}


def verdicts(reader: Reader, lines: Iterable[bytes | Mapping[str, object]]) -> set[str]:
    return {shown(reader.feed(line, time.time())) for line in lines} - {"-"}


def reader() -> Reader:
    return Reader(FORMATS.values())


@pytest.mark.parametrize("name", SERVERS)
def test_logins_and_nothing_else_in_every_form_of_rsyslogs(name: str, machine: Machine, place: Path) -> None:
    with rsyslog(place / "log", machine.log) as log, SERVERS[name](machine) as ports:
        wanted = visit(name, ports)
        wait_until(lambda: verdicts(reader(), log.lines("rfc3164")) >= wanted)
    for form in FORMS:
        assert verdicts(reader(), log.lines(form)) == wanted, form


@pytest.mark.parametrize("name", SERVERS)
def test_logins_heard_by_a_socket_of_our_own(name: str, machine: Machine) -> None:
    host, stop, listens, found = HOSTS[0], threading.Event(), reader(), set()
    patience = threading.Timer(PATIENCE, stop.set)
    patience.start()
    log = f"syslog:{machine.log}"
    with (
        closing(bind_syslog(log)) as sock,
        closing(Watcher([log], {}, {log: sock})) as watcher,
        SERVERS[name](machine) as ports,
    ):
        wanted = {f"{USER} {CLIENTS[host]} {protocol}" for protocol in ports}
        for protocol, port in ports.items():
            assert log_in(protocol, (host, port), CLIENTS[host], USER, PASSWORD)
        for batch in watcher.batches(stop):
            found |= verdicts(listens, batch.lines)
            if found >= wanted:
                break
    patience.cancel()
    assert found == wanted


def reply_to_mail(host: str, client: str) -> int:
    """The code that a client hears who asks to send without AUTH."""
    with smtplib.SMTP(host, SMTP_PORT, timeout=PATIENCE, source_address=(client, 0)) as smtp:
        smtp.ehlo("client.example.org")
        return smtp.mail(f"{USER}@example.com")[0]


@pytest.mark.parametrize("name", SERVERS)
def test_whoever_has_read_mail_may_send_some(name: str, machine: Machine, place: Path, sendmail: Sendmail) -> None:
    """From the login to the message that a real sendmail has delivered; for nobody else."""
    listen = [{"address": f"[{host}]:{SMTP_PORT}" if ":" in host else f"{host}:{SMTP_PORT}"} for host in HOSTS]
    (place / "server").mkdir()
    with rsyslog(place / "log", machine.log) as log, SERVERS[name](machine) as ports:
        pop = {"enabled": True, "logs": [str(log.path("rfc3164"))], "formats": [name.split()[0]]}
        settings = {"listen": [{**each, "tls": "none"} for each in listen], "pop_before_smtp": pop}
        with Server(place / "server", sendmail.address, settings) as server:
            events = Events(server)
            host, protocol = (HOSTS[0], "pop3") if name == "popa3d" else (HOSTS[-1], [*ports][-1])
            client, stranger = CLIENTS[host], STRANGERS[host]
            assert reply_to_mail(host, client) == 530
            assert not log_in(protocol, (host, ports[protocol]), stranger, FORGERS[-1], "wrong")
            assert log_in(protocol, (host, ports[protocol]), client, USER, PASSWORD)
            wait_until(lambda: reply_to_mail(host, client) == 250)
            with smtplib.SMTP(host, SMTP_PORT, timeout=PATIENCE, source_address=(client, 0)) as smtp:
                smtp.sendmail(f"{USER}@example.com", "alice@test.example", b"Subject: hello\r\n\r\nHello\r\n")
            assert reply_to_mail(host, stranger) == 530
            event = events.wait("message")
    assert [delivery.recipient for delivery in sendmail.deliveries()] == ["alice@test.example"]
    assert (event["via"], event["user"], event["ip"]) == ("pop", f"{USER}@{REALM}", client)
