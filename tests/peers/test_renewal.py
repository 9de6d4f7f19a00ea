"""Certificates that are replaced while the service runs, on both event loops: by name, under load, and wrongly."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from cryptography import x509

from tests.support.authority import Authority, put
from tests.support.events import Events
from tests.support.network import PATIENCE, wait_until
from tests.support.programs import require
from tests.support.server import HOSTNAME, USER, Server, Settings, public_folder
from tests.support.sink import Sink

OTHER = "mail.example.org"
KINDS = ("starttls", "implicit")


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    other = {"name": OTHER, "certificate": f"{OTHER}.pem", "key": f"{OTHER}.key"}
    return {"workers": 1, "tls": {"certificate": f"{HOSTNAME}.pem", "key": f"{HOSTNAME}.key", "sni": [other]}}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, relay: Sink, settings: Settings, authority: Authority) -> Iterator[Server]:
    """The service on each event loop; it falls back on asyncio's where uvloop can't be loaded."""
    with public_folder() as folder, pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            (folder / "without").mkdir()
            (folder / "without" / "uvloop.py").write_text("raise ImportError")
            patch.setenv("PYTHONPATH", str(folder / "without"))
            assert subprocess.run([sys.executable, "-c", "import uvloop"], stderr=subprocess.DEVNULL).returncode == 1
        server = Server(folder, relay.address, settings)
        put(server.certificate_authority, authority.pem)
        for name in (HOSTNAME, OTHER):
            authority.issue(folder, name)
        with server:
            yield server


@pytest.fixture(autouse=True)
def _whole(server: Server, authority: Authority) -> Iterator[None]:
    """Whatever a test leaves behind, the next finds certificates that are good, and served."""
    yield
    authority.issue(server.folder, OTHER)
    renew(server, authority, HOSTNAME)


def connect(
    server: Server,
    kind: str,
    name: str = HOSTNAME,
    context: ssl.SSLContext | None = None,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """A client that trusts the authority, after a first command under TLS (with which tickets of TLS 1.3 arrive)."""
    sock = socket.create_connection(("127.0.0.1", server.ports[kind]), PATIENCE)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sock)
        if kind == "starttls":
            assert sock.recv(1000).startswith(b"220 ")
            for command, code in ((b"EHLO client.example\r\n", b"250-"), (b"STARTTLS\r\n", b"220 ")):
                sock.sendall(command)
                assert sock.recv(1000).startswith(code)
        tls = (context or server.client_context()).wrap_socket(sock, server_hostname=name, session=session)
        stack.enter_context(tls)
        if kind == "implicit":
            assert tls.recv(1000).startswith(b"220 ")
        assert_alive(tls)
        stack.pop_all()
    return tls


def assert_alive(sock: ssl.SSLSocket) -> None:
    sock.sendall(b"NOOP\r\n")
    assert sock.recv(1000).startswith(b"250 ")


def shown(server: Server, kind: str = "implicit", name: str = HOSTNAME) -> int:
    """The serial number of the certificate that a client gets."""
    with connect(server, kind, name) as sock:
        certificate = sock.getpeercert(binary_form=True)
    assert certificate
    return x509.load_der_x509_certificate(certificate).serial_number


def reload(server: Server) -> None:
    """Tell the service, and wait until those have gone who had what was before."""
    events = Events(server)
    server.hang_up()
    events.wait("worker-retired")


def renew(server: Server, authority: Authority, name: str = HOSTNAME) -> int:
    """Replace a certificate, tell the service, and wait until it has it; the serial number."""
    new = authority.issue(server.folder, name)
    reload(server)
    wait_until(lambda: shown(server, name=name) == new)
    return new


def test_a_renewal_under_load_fails_no_connection(server: Server, authority: Authority) -> None:
    is_over = threading.Event()
    seen: dict[str, list[int]] = {kind: [] for kind in KINDS}
    errors: list[Exception] = []

    def connect_again_and_again(kind: str) -> None:
        while not is_over.is_set() and not errors:
            try:
                seen[kind].append(shown(server, kind))
            except (OSError, AssertionError) as error:
                errors.append(error)

    threads = [threading.Thread(target=connect_again_and_again, args=(kind,)) for kind in KINDS]
    with connect(server, "implicit") as before:
        for thread in threads:
            thread.start()
        try:
            issued = []
            for _ in range(5):
                issued.append(authority.issue(server.folder, HOSTNAME))
                server.hang_up()
                wait_until(lambda: bool(errors) or all(issued[-1] in serials for serials in seen.values()))
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert_alive(before)
    assert not errors
    for serials in seen.values():
        assert list(dict.fromkeys(serials))[-len(issued) :] == issued  # in turn, while former workers still accept


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_ticket_outlasts_renewals(kind: str, version: ssl.TLSVersion, server: Server, authority: Authority) -> None:
    context = server.client_context()
    context.minimum_version = context.maximum_version = version
    with connect(server, kind, context=context) as first:
        session = first.session
    assert session is not None
    assert session.has_ticket
    renew(server, authority)
    with connect(server, kind, context=context, session=session) as second:
        assert second.session_reused


@pytest.mark.parametrize("kind", KINDS)
def test_each_name_has_its_own(kind: str, server: Server, authority: Authority) -> None:
    news = {name: renew(server, authority, name) for name in (HOSTNAME, OTHER)}
    assert {name: shown(server, kind, name) for name in news} == news


def test_a_changed_file_is_noticed_without_a_signal(server: Server, authority: Authority) -> None:
    new = authority.issue(server.folder, HOSTNAME)
    wait_until(lambda: shown(server) == new)


def test_who_replaces_a_dead_worker_has_the_new_one_from_the_beginning(server: Server, authority: Authority) -> None:
    wait_until(lambda: len(server.workers()) == 1)
    new = authority.issue(server.folder, HOSTNAME)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    assert shown(server) == new


def test_a_broken_renewal_changes_nothing_and_is_told(server: Server, authority: Authority) -> None:
    old, events = shown(server), Events(server)
    for name in (HOSTNAME, OTHER):
        authority.issue(server.folder, name)
    put(server.folder / f"{OTHER}.pem", b"garbage")
    server.hang_up()
    reason = events.wait("reload-refused")["reason"]
    assert events.wait("certificate-refused")["reason"] == reason  # by those who serve, once they have noticed
    assert reason.startswith(f'"{server.folder}/{OTHER}.pem" cannot be used, must be a certificate')
    assert shown(server) == old


@pytest.mark.skipif(os.geteuid() != 0, reason="nothing is root's where nobody is root")
def test_a_key_that_only_root_can_read_is_told_with_what_to_do(server: Server, authority: Authority) -> None:
    old, events, key = shown(server), Events(server), server.folder / f"{HOSTNAME}.key"
    new = authority.issue(server.folder, HOSTNAME)
    shutil.chown(key, "root")
    reload(server)
    reason = events.wait("certificate-refused")["reason"]
    assert reason.startswith(f'"{key}": Permission denied; ')
    assert "(chgrp, chmod 640)" in reason
    assert shown(server) == old
    shutil.chown(key, USER)
    reload(server)
    wait_until(lambda: shown(server) == new)


def test_a_name_that_is_none_is_a_line_of_the_log(server: Server) -> None:
    """A name that isn't ASCII is beyond the ssl module, which would print a page for each."""
    require("openssl")
    events, lines = Events(server), len(server.log())
    address = f"127.0.0.1:{server.ports['implicit']}"
    client = [b"openssl", b"s_client", b"-connect", address.encode(), b"-servername", b"\xff\nevent=auth"]
    assert subprocess.run(client, stdin=subprocess.DEVNULL, capture_output=True).returncode == 1
    assert events.wait("exception-ignored")["error"].startswith("UnicodeDecodeError: ")
    assert shown(server)
    assert all("event=" in line for line in server.log()[lines:])
    assert not events.all("auth")
