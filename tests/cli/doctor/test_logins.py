"""Failed logins, by the running service and by servers that answer as none should."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from submission.cli.doctor.doors import Door, find_doors
from submission.cli.doctor.logins import WRONG, try_logins
from submission.cli.doctor.verdict import Verdict
from submission.config import load
from submission.config.settings import Listen
from submission.config.values import TcpAddress
from submission.credentials import derive_key
from submission.state.penalties import KEY_PURPOSE, PenaltyTable
from submission.state.sqlite import SqliteState
from tests.cli.doctor.conftest import Installation
from tests.support.network import PATIENCE
from tests.support.server import HOSTNAME, Server, public_folder


def tried(found: Door, installation: Installation) -> Verdict:
    (verdict,) = try_logins([found], installation.settings())
    assert verdict.tried == WRONG
    return verdict


def test_the_same_words_for_everybody_in_two_logins(installation: Installation) -> None:
    door, settings = installation.door("implicit")
    before = len(installation.server.log("auth"))
    (verdict,) = try_logins([door, *find_doors(settings.listen[0], HOSTNAME)], settings)
    assert (verdict.outcome.value, verdict.text) == (
        "ok",
        "535 5.7.8 Authentication credentials invalid, for a user who is there as for one who isn't",
    )
    lines = installation.server.log("auth")[before:]
    assert len(lines) == 2
    assert 'user="nobody-at-all.submission-doctor@example.com"' in lines[0]
    assert 'user="carol@example.com"' in lines[1]


def test_a_store_that_is_not_there_is_not_made(installation: Installation) -> None:
    door, settings = installation.door("implicit")
    path = installation.folder / "state/another.db"
    store = settings.store.model_copy(update={"url": f"sqlite:{path}"})
    (verdict,) = try_logins([door], settings.model_copy(update={"store": store}))
    assert (verdict.outcome.value, verdict.text) == ("ok", "535 5.7.8 Authentication credentials invalid")
    assert not path.exists()


def test_nobody_logs_in_where_there_is_no_tls(installation: Installation) -> None:
    door, settings = installation.door("none")
    assert list(try_logins([door], settings)) == []


@pytest.mark.parametrize(
    ("mechanism", "outcome", "text"),
    [
        ("LOGIN", "ok", "535 5.7.8 Authentication credentials invalid"),
        ("CRAM-MD5", "not tried", "neither PLAIN nor LOGIN is offered"),
    ],
)
def test_other_mechanisms_and_nobody_in_the_store(mechanism: str, outcome: str, text: str) -> None:
    with public_folder() as folder, Server(folder, "127.0.0.1:9", {"auth": {"mechanisms": [mechanism]}}) as server:
        settings = load(server.configuration)
        listen = next(each for each in settings.listen if each.tls == "starttls" and not each.proxy_protocol)
        (verdict,) = try_logins(find_doors(listen, HOSTNAME), settings)
    assert (verdict.outcome.value, verdict.text) == (outcome, text)


def test_a_doctor_who_comes_often_costs_no_more_than_once() -> None:
    with public_folder() as folder, Server(folder, "127.0.0.1:9", {"auth": {"exempt": []}}) as server:
        settings = load(server.configuration)
        found = [door for listen in settings.listen for door in find_doors(listen, HOSTNAME)]
        assert [each.outcome.value for _ in range(2) for each in try_logins(found, settings)] == ["ok", "ok"]
        with closing(SqliteState(settings.state_dir / "state.db")) as state:
            penalties = PenaltyTable(state, derive_key(settings, KEY_PURPOSE)).penalties()
        assert len(server.log("auth")) == 2
    assert len(penalties["address 127.0.0.1"].tries) == 1


def test_an_address_that_may_not_try_is_told_apart(installation: Installation) -> None:
    with server_that_answers(installation, lambda _: "421 4.7.0 Too many failed logins") as door:
        verdict = tried(door, installation)
    assert (verdict.outcome.value, verdict.text) == (
        "warning",
        "421 4.7.0 Too many failed logins: see submission penalties, and auth.exempt",
    )


@contextmanager
def server_that_answers(installation: Installation, answer: Callable[[str], str]) -> Iterator[Door]:
    """A program with our certificate that answers AUTH PLAIN as it is told, by the user's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(installation.folder / "server.pem", installation.folder / "server.key")

    def serve() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with context.wrap_socket(sock, server_side=True) as tls, tls.makefile("rwb", buffering=0) as stream:
                stream.write(b"220 mail.example.com ESMTP\r\n")
                for line in stream:
                    word = line.split()[-1]
                    said = "250-x\r\n250 AUTH PLAIN"
                    if line.startswith(b"AUTH"):
                        said = answer(base64.b64decode(word).split(b"\0")[1].decode())
                    stream.write(f"{said}\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Door(Listen(address=f"127.0.0.1:{port}", tls="implicit"), TcpAddress("127.0.0.1", port), HOSTNAME)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("for_nobody", "for_carol", "complaint"),
    [
        ("235 2.7.0 Welcome", "535 5.7.8 No", "ANYBODY LOGS IN"),
        ("454 4.7.0 Later", "535 5.7.8 No", "454 4.7.0 Later: nobody can log in now, the log says why"),
        (
            "535 5.7.8 No such user",
            "535 5.7.8 Wrong password",
            "tells who is there: '535 5.7.8 No such user' for nobody",
        ),
        ("535 5.7.8 No", "235 2.7.0 Welcome", "tells who is there"),
    ],
)
def test_answers_that_none_should_give(
    installation: Installation, for_nobody: str, for_carol: str, complaint: str
) -> None:
    answers = {"carol@example.com": for_carol}
    with server_that_answers(installation, lambda user: answers.get(user, for_nobody)) as door:
        verdict = tried(door, installation)
    assert verdict.outcome.value == "FAILED"
    assert verdict.text.startswith(complaint)
