"""The whole of it: an installation where all is well, and those where something isn't, each named by one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.certificates import make_authority, make_server_certificate
from submission.cli.doctor import diagnose, doors, strangers
from submission.cli.doctor.certificates import NAMES
from submission.cli.doctor.listeners import GREETING
from submission.cli.doctor.logins import WRONG
from submission.cli.doctor.verdict import Outcome
from submission.cli.main import commands
from submission.config import Settings
from submission.config.settings import Listen
from submission.config.values import SystemdAddress, TcpAddress
from submission.credentials.key_file import KeyFile
from tests.cli.doctor.conftest import IS_ROOT, Installation
from tests.support.network import free_port
from tests.support.server import HOSTNAME, USER
from tests.support.sink import KEYWORDS, Answer, reply, script

NOW = datetime.now(UTC)
Breakage = Callable[[Installation], Settings]


def run(configuration: Path) -> Result:
    result = CliRunner().invoke(commands, ["doctor", "-c", str(configuration)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def complaints(settings: Settings) -> list[tuple[str, str, str]]:
    """All that isn't well: outcome, what was tried, and what was found."""
    return [
        (verdict.outcome.value, verdict.tried, verdict.text)
        for verdict in diagnose(settings)
        if verdict.outcome is not Outcome.OK and verdict.tried != "relays for others"  # which needs a network
    ]


def test_where_all_is_well_every_line_says_so(installation: Installation) -> None:
    before = len(installation.server.log("auth"))
    result = run(installation.configuration())
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert {row[0] for row in rows if row[2] != "relays for others"} == {"ok"}
    assert result.exit_code == 0
    ports = {f"127.0.0.1:{port}" for port in installation.server.ports.values()}
    assert {row[1] for row in rows} == {*ports, f"relay {installation.sink.address}", "files"}
    assert len(installation.server.log("auth")) - before == 2, "no more failed logins than are documented"


def test_it_sends_no_message(installation: Installation) -> None:
    installation.sink.disconnect()
    installation.sink.connections.clear()
    run(installation.configuration())
    said = [line[:4].upper() for each in installation.sink.connections for line in bytes(each.received).splitlines()]
    assert set(said) <= {b"EHLO", b"MAIL", b"RCPT", b"RSET", b"QUIT"}
    assert b"RCPT" in said


def test_a_terminal_gets_a_table_and_a_process_of_its_own_the_same_exit_code(installation: Installation) -> None:
    file = installation.configuration(
        (f'address = "{installation.sink.address}"', f'address = "127.0.0.1:{free_port()}"')
    )
    command = [sys.executable, "-m", "submission", "doctor", "-c", str(file)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "")
    assert "\nFAILED\trelay 127.0.0.1:" in result.stdout


def test_69_where_nobody_can_be_asked(installation: Installation) -> None:
    text = installation.server.configuration.read_text()
    for port in (*installation.server.ports.values(), installation.sink.port):
        text = text.replace(f":{port}", f":{free_port()}")
    file = installation.folder / "tried.toml"
    file.write_text(text)
    assert run(file).exit_code == os.EX_UNAVAILABLE


def test_78_where_the_configuration_can_not_be_read(tmp_path: Path) -> None:
    result = run(tmp_path / "none.toml")
    assert (result.exit_code, result.stdout) == (os.EX_CONFIG, "")


def test_a_listener_at_all_addresses(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers try each of them, TLS is looked at once."""
    (listen,) = installation.settings().listen
    everywhere = listen.model_copy(update={"address": TcpAddress("0.0.0.0", installation.server.ports["starttls"])})
    settings = installation.settings().model_copy(update={"listen": (everywhere,)})
    monkeypatch.setattr(doors, "own_address", lambda _: "127.0.0.1")  # all that tests may listen at
    tried = Counter(verdict.tried for verdict in diagnose(settings))
    assert (tried[GREETING], tried[strangers.ENCRYPTED], tried[NAMES], tried[WRONG]) == (2, 2, 1, 1)
    monkeypatch.setattr(doors, "own_address", lambda _: "127.0.0.2")
    (told,) = (verdict for verdict in diagnose(settings) if verdict.outcome is Outcome.FAILED)
    assert (told.where, told.tried) == (f"127.0.0.2:{everywhere.address.port}", GREETING)


def test_a_socket_that_only_systemd_knows(installation: Installation) -> None:
    (listen,) = installation.settings().listen
    settings = installation.settings().model_copy(
        update={"listen": (listen.model_copy(update={"address": SystemdAddress("submission")}),)}
    )
    assert [line[:2] for line in complaints(settings)] == [("not tried", GREETING)]


# What can be wrong. Each breaks the installation, and gives the settings that it is tried by.


def listener_is_down(installation: Installation) -> Settings:
    return installation.settings().model_copy(update={"listen": (_elsewhere(installation, free_port()),)})


def another_program_has_the_port(installation: Installation) -> Settings:
    """One that takes mail from everybody, as sendmail's own port 587 does from this host."""
    listen = _elsewhere(installation, installation.sink.port)
    return installation.settings().model_copy(update={"listen": (listen.model_copy(update={"tls": "none"}),)})


def _elsewhere(installation: Installation, port: int) -> Listen:
    (listen,) = installation.settings().listen
    return listen.model_copy(update={"address": TcpAddress("127.0.0.1", port)})


def settings_are_newer_than_what_runs(installation: Installation) -> Settings:
    settings = installation.settings()
    return settings.model_copy(update={"auth": settings.auth.model_copy(update={"mechanisms": ("PLAIN", "LOGIN")})})


def old_tls_is_taken(installation: Installation) -> Settings:
    return installation.settings(('tls = "starttls"', 'tls = "starttls"\ntls_minimum = "1.3"'))


def key_is_not_the_certificate_s(installation: Installation) -> Settings:
    installation.put("server.key", make_server_certificate(make_authority("x", NOW), ["x"], NOW).key_pem)
    return installation.settings()


def relay_is_down(installation: Installation) -> Settings:
    return installation.settings((installation.sink.address, f"127.0.0.1:{free_port()}"))


def relay_refuses_everybody(installation: Installation) -> Settings:
    installation.sink.answer = script({"connect": reply("554 5.3.2 Not accepting")})
    return installation.settings()


def relay_does_not_relay(installation: Installation) -> Settings:
    installation.sink.answer = script({"RCPT": reply("550 5.7.1 Relaying denied")})
    return installation.settings()


def relay_puts_off(installation: Installation) -> Settings:
    installation.sink.answer = script({"MAIL": reply("452 4.4.5 Insufficient disk space")})
    return installation.settings()


def relay_is_lost_after_ehlo(installation: Installation) -> Settings:
    installation.sink.answer = script({"MAIL": Answer(then="close")})
    return installation.settings()


def relay_offers_little(installation: Installation) -> Settings:
    installation.sink.answer = script(keywords=[word for word in KEYWORDS if word not in ("8BITMIME", "DSN")])
    return installation.settings()


def relay_is_ourselves(installation: Installation) -> Settings:
    """By a way that the configuration can't show: a forwarded port, an address of the machine's own."""
    installation.sink.answer = script({"connect": reply(f"220 {HOSTNAME} ESMTP submission service ready")})
    return installation.settings()


def accounts_are_open_to_all(installation: Installation) -> Settings:
    (installation.folder / "state/users.db").chmod(0o666)
    return installation.settings()


def sealing_key_is_open_to_a_group(installation: Installation) -> Settings:
    (installation.folder / "state/store.key").chmod(0o640)
    return installation.settings()


def state_dir_is_open_to_all(installation: Installation) -> Settings:
    (installation.folder / "state").chmod(0o755)
    return installation.settings()


def accounts_belong_to_another_user(installation: Installation) -> Settings:
    if not IS_ROOT:
        pytest.skip("only root can give files away")
    shutil.chown(installation.folder / "state/users.db", "root")
    return installation.settings()


def accounts_are_damaged(installation: Installation) -> Settings:
    installation.put("state/users.db", b"garbage" * 1000)
    return installation.settings()


def accounts_are_gone(installation: Installation) -> Settings:
    (installation.folder / "state/users.db").unlink()
    return installation.settings()


def sealing_key_is_another(installation: Installation) -> Settings:
    path = installation.folder / "state/store.key"
    path.unlink()
    KeyFile(path).read_or_make()
    if IS_ROOT:
        shutil.chown(path, USER)
    return installation.settings()


BREAKAGES: dict[Breakage, list[tuple[str, str, str]]] = {
    listener_is_down: [("FAILED", "greeting", "no answer: Connection refused; is it running")],
    another_program_has_the_port: [
        ("FAILED", "greeting", "greets as relay.test.example, not as mail.example.com"),
        ("FAILED", "stranger without TLS", "OPEN RELAY: MAIL FROM:<>, RCPT TO:<victim@example.com> is taken"),
    ],
    settings_are_newer_than_what_runs: [
        ("FAILED", "offers under TLS", "offers SCRAM-SHA-256-PLUS, SCRAM-SHA-256, CRAM-MD5, which auth.mechanisms")
    ],
    old_tls_is_taken: [("FAILED", "old TLS versions", "TLS 1.2 is taken, though tls_minimum is 1.3")],
    key_is_not_the_certificate_s: [("FAILED", "tls.key", 'server.key" is not the key of')],
    relay_is_down: [("FAILED", "banner", "no answer: Connection refused; is sendmail running")],
    relay_refuses_everybody: [("FAILED", "banner", "554 5.3.2 Not accepting: it takes nothing now")],
    relay_does_not_relay: [("FAILED", "relays for us", "RCPT for victim@example.com is refused, 550 5.7.1 Relaying")],
    relay_puts_off: [("warning", "relays for us", "MAIL for victim@example.com is put off, 452 4.4.5 Insufficient")],
    relay_is_lost_after_ehlo: [("FAILED", "connection", "closed by the relay; clients hear 451")],
    relay_offers_little: [
        ("warning", "extensions", "no 8BITMIME: clients send"),
        ("warning", "extensions", "no DSN: clients can't"),
    ],
    relay_is_ourselves: [("FAILED", "banner", "this service itself")],
    accounts_are_open_to_all: [("FAILED", "store.url", 'users.db" has mode 0666, must be 0660')],
    sealing_key_is_open_to_a_group: [("FAILED", "store.key_file", 'store.key" has mode 0640, must be 0600')],
    state_dir_is_open_to_all: [("FAILED", "state_dir", 'state" has mode 0755')],
    accounts_belong_to_another_user: [("FAILED", "store.url", 'users.db" cannot be read by nobody')],
    accounts_are_damaged: [
        ("FAILED", "wrong password", "454 4.7.0 "),
        ("FAILED", "accounts", "users.db: file is not a database; logins are answered with 454"),
    ],
    accounts_are_gone: [("FAILED", "wrong password", "454 4.7.0 "), ("FAILED", "accounts", "users.db isn't there")],
    sealing_key_is_another: [("FAILED", "sealing key", "is under a key that the key file doesn't have; restore")],
}


@pytest.mark.parametrize("break_it", BREAKAGES, ids=lambda break_it: break_it.__name__)
def test_what_is_broken_is_named_and_nothing_else(installation: Installation, break_it: Breakage) -> None:
    assert complaints(installation.settings()) == []  # and the service has opened what is there now
    told = complaints(break_it(installation))
    expected = BREAKAGES[break_it]
    assert [line[:2] for line in told] == [line[:2] for line in expected]
    for (_, _, text), (_, _, fragment) in zip(told, expected, strict=True):
        assert fragment in text
