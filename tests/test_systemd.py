import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from submission import systemd
from submission.systemd import PassedSocketsError, notify, take_sockets, watchdog_interval
from tests.support.network import PATIENCE

FIRST = 200
"""Where the tests pass descriptors, for from 3 on pytest has its own."""


@pytest.fixture(autouse=True)
def first_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", FIRST)


@pytest.fixture
def descriptors() -> Iterator[ExitStack]:
    """Closes what is passed and not taken."""
    with ExitStack() as stack:
        yield stack


def passed(descriptors: ExitStack, *sockets: socket.socket, names: str | None, count: str = "") -> dict[str, str]:
    """Put sockets where systemd does; the environment that tells of them."""
    for descriptor, sock in enumerate(sockets, FIRST):
        os.dup2(sock.fileno(), descriptor)
        sock.close()
        descriptors.callback(_close, descriptor)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count or str(len(sockets)), "HOME": "/"}
    return environment if names is None else environment | {"LISTEN_FDNAMES": names}


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_sockets_come_by_their_names(descriptors: ExitStack, tmp_path: Path) -> None:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    unix.listen()
    environment = passed(descriptors, listening(), unix, listening(), names="smtp:local:smtp")
    sockets = take_sockets(["smtp", "local"], environment)
    assert {name: [sock.fileno() for sock in found] for name, found in sockets.items()} == {
        "smtp": [FIRST, FIRST + 2],
        "local": [FIRST + 1],
    }
    assert sockets["local"][0].family == socket.AF_UNIX
    assert environment == {"HOME": "/"}
    for sock in (sock for found in sockets.values() for sock in found):
        assert not sock.get_inheritable()
        sock.close()


def test_without_names_it_is_unknown(descriptors: ExitStack) -> None:
    (sock,) = take_sockets(["unknown"], passed(descriptors, listening(), names=None))["unknown"]
    sock.close()


def test_nothing_passed_and_nothing_asked_for() -> None:
    assert take_sockets([], {}) == {}


def test_what_another_process_was_passed_is_not_ours(descriptors: ExitStack) -> None:
    environment = passed(descriptors, listening(), names="smtp") | {"LISTEN_PID": "1"}
    assert take_sockets([], environment) == {}
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"LISTEN_PID": "1"}, "systemd:smtp: no such socket was passed"),
        ({"LISTEN_PID": ""}, "systemd:smtp: no such socket was passed"),
        ({"LISTEN_FDS": "0", "LISTEN_FDNAMES": ""}, "LISTEN_FDNAMES has 1 names for 0"),
        ({"LISTEN_FDS": ""}, "LISTEN_FDS is ''"),
        ({"LISTEN_FDS": "-1"}, "LISTEN_FDS is '-1'"),
        ({"LISTEN_FDS": "\u0661"}, "LISTEN_FDS is"),
        ({"LISTEN_FDS": "99999"}, "must be a number up to 1024"),
        ({"LISTEN_FDS": "9" * 5000}, "must be a number up to 1024"),
        ({"LISTEN_FDS": "2"}, "LISTEN_FDNAMES has 1 names for 2"),
        ({"LISTEN_FDNAMES": "a:b"}, "LISTEN_FDNAMES has 2 names for 1"),
        ({"LISTEN_FDNAMES": "other"}, "a socket named 'other' that no listener has"),
    ],
)
def test_what_does_not_fit_is_told(descriptors: ExitStack, changes: dict[str, str], text: str) -> None:
    environment = passed(descriptors, listening(), names="smtp") | changes
    with pytest.raises(PassedSocketsError, match=text):
        take_sockets(["smtp"], environment)
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize("kind", ["connected", "datagram", "bound", "file", "nothing"])
def test_only_a_listening_stream_socket_will_do(descriptors: ExitStack, kind: str) -> None:
    with listening() as other:
        if kind == "connected":
            environment = passed(descriptors, socket.create_connection(other.getsockname()), names="smtp")
        elif kind == "datagram":
            environment = passed(descriptors, socket.socket(socket.AF_INET, socket.SOCK_DGRAM), names="smtp")
        elif kind == "bound":
            bound = socket.socket()
            bound.bind(("127.0.0.1", 0))
            environment = passed(descriptors, bound, names="smtp")
        else:
            environment = passed(descriptors, names="smtp", count="1")
            if kind == "file":
                with Path(os.devnull).open() as file:
                    os.dup2(file.fileno(), FIRST)
                descriptors.callback(_close, FIRST)
        with pytest.raises(
            PassedSocketsError, match="Bad file" if kind == "nothing" else "ListenStream= and Accept=no"
        ):
            take_sockets(["smtp"], environment)


@pytest.mark.parametrize("address", ["{folder}/notify", "@submission-tests-{pid}"])
def test_news_reach_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    name = address.format(folder=tmp_path, pid=os.getpid())
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.settimeout(PATIENCE)
        supervisor.bind(name.replace("@", "\0"))
        notify("RELOADING=1", "MONOTONIC_USEC=1")
        assert supervisor.recv(100) == b"RELOADING=1\nMONOTONIC_USEC=1"


def test_a_supervisor_that_does_not_listen_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent")
    notify("READY=1")


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_says_how_often_it_wants_to_hear(environment: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(environment) == interval
