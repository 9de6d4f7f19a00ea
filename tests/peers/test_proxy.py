"""Behind real load balancers, and on both event loops: whose connection it is, whatever TLS comes after the header."""

from __future__ import annotations

import contextlib
import functools
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support.balancer import Ports, haproxy, nginx
from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import PATIENCE, wait_until
from tests.support.server import BALANCED_KINDS, BALANCERS, HOSTNAME, Server, Settings, public_folder
from tests.support.sink import Sink

CLIENT = "127.0.0.2"
COUNT = 30
HEADER = b"PROXY TCP4 203.0.113.5 192.0.2.1 49152 465\r\n"

OPTIONS = {
    "HAProxy, version 1": "send-proxy",
    "HAProxy, version 2": "send-proxy-v2",
    "HAProxy, version 2 with all that fits": "send-proxy-v2 proxy-v2-options crc32c,unique-id",
    "nginx": "",
}


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"policy": {"hide_client": False}, "limits": {"connections_per_ip": COUNT // 2, "connections": COUNT}}


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, relay: Sink, settings: Settings) -> Iterator[Server]:
    """The service on each event loop; it falls back on asyncio's where uvloop can't be loaded."""
    with public_folder() as folder, pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            (folder / "without").mkdir()
            (folder / "without" / "uvloop.py").write_text("raise ImportError")
            patch.setenv("PYTHONPATH", str(folder / "without"))
            assert subprocess.run([sys.executable, "-c", "import uvloop"], stderr=subprocess.DEVNULL).returncode == 1
        server = Server(folder, relay.address, settings)
        server.add_user(USER, PASSWORD)
        with server:
            yield server


@pytest.fixture(scope="module", params=OPTIONS.values(), ids=OPTIONS)
def ports(request: pytest.FixtureRequest, server: Server) -> Iterator[Ports]:
    """A balancer before both listeners that wait for one."""
    backs = [server.ports[kind] for kind in BALANCED_KINDS]
    folder = server.folder
    with haproxy(folder, backs, request.param) if request.param else nginx(folder, backs) as ports:
        yield ports


def is_logged(events: Events, name: str, address: str, reason: str = "") -> bool:
    """Whether there is such a line; there may be others, of connections that a test before this one made."""
    return any(event["ip"] == address and event.get("reason", "").startswith(reason) for event in events.all(name))


def submit(server: Server, kind: str, port: int) -> None:
    context = server.client_context()
    kind_of_client = functools.partial(smtplib.SMTP_SSL, context=context) if kind.endswith("implicit") else smtplib.SMTP
    with kind_of_client("localhost", port, "me", timeout=PATIENCE, source_address=(CLIENT, 0)) as client:
        if kind.endswith("starttls"):
            client.starttls(context=context)
        client.login(USER, PASSWORD)
        client.sendmail("carol@example.com", "bob@test.example", b"Subject: x\r\n\r\nx\r\n")


@pytest.mark.parametrize("kind", BALANCED_KINDS)
def test_log_and_trace_name_the_client(kind: str, server: Server, ports: Ports, sink: Sink, events: Events) -> None:
    submit(server, kind, ports[server.ports[kind]])
    for name in ("auth", "message", "connection"):
        wait_until(lambda name=name: is_logged(events, name, CLIENT))
    [message] = [message for connection in sink.connections for message in connection.messages]
    assert message.startswith(f"Received: from me ([{CLIENT}]) ".encode())


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_a_balancer_looks_by_itself_whether_the_service_is_well(version: str, server: Server, events: Events) -> None:
    back = server.ports["balanced-starttls"]
    with haproxy(server.folder, [back], f"{version} check inter 100"):
        wait_until(lambda: is_logged(events, "connection", BALANCERS, "quit"))


def hello(server: Server) -> bytes:
    """What a TLS client says first."""
    outgoing = ssl.MemoryBIO()
    client = server.client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOSTNAME)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("cut", [0, 6, len(HEADER) - 1, len(HEADER), len(HEADER) + 1, -1, None])
@pytest.mark.parametrize("has_waited", [False, True])
def test_the_handshake_may_come_in_the_packet_of_the_header(has_waited: bool, cut: int | None, server: Server) -> None:
    octets = HEADER + hello(server)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.ports["balanced-implicit"]), PATIENCE) as sock:
            for part in (octets[:cut], octets[cut:]) if cut is not None else (octets,):
                if has_waited:
                    with Client(server, "none"):
                        pass  # the service has had time for the connection that waits, and for what came by it
                sock.sendall(part)
            assert sock.recv(1) == b"\x16"


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
@pytest.mark.parametrize("beginning", [b"", HEADER[:9], HEADER, HEADER + b"\x16\x03\x01\x02\0\1", b"EHLO me\r\n"])
@pytest.mark.parametrize("kind", BALANCED_KINDS)
def test_connections_that_end_about_the_header_are_forgotten(
    kind: str, beginning: bytes, how: str, server: Server, events: Events
) -> None:
    for _ in range(COUNT):
        with socket.create_connection(("127.0.0.1", server.ports[kind]), PATIENCE) as sock:
            sock.sendall(beginning)
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how == "half-close":
                sock.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):
                    while sock.recv(4096):
                        pass
    wait_until(lambda: is_welcome(server))
    assert events.all("internal-error") == events.all("log") == []
    # Regression: who was reset before he was accepted had no address, and so was no balancer, and yet was listened to.
    assert all(event["ip"] for event in events.all("connection"))


def is_welcome(server: Server) -> bool:
    """Whether there is a place for one more client of that address."""
    with socket.create_connection(("127.0.0.1", server.ports["balanced-starttls"]), PATIENCE) as sock:
        sock.sendall(HEADER)
        return sock.recv(4) == b"220 "


def test_a_header_from_elsewhere_is_none_to_tls(server: Server, events: Events) -> None:
    source = (CLIENT, 0)
    with socket.create_connection(
        ("127.0.0.1", server.ports["balanced-implicit"]), PATIENCE, source_address=source
    ) as sock:
        sock.sendall(HEADER)
        with contextlib.suppress(ConnectionError):
            assert b"220" not in sock.recv(4096)
    wait_until(lambda: is_logged(events, "connection", CLIENT, "TLS handshake: "))
