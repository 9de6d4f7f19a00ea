import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.core.addresses import Login
from submission.credentials.accounts import set_disabled, set_password
from submission.credentials.database import DatabaseStore
from submission.credentials.sasldb2 import Sasldb2Store
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record
from tests.support.terminal import Terminal

COMMAND = [sys.executable, "-m", "submission", "user"]
ALICE, BOB = Login("alice", "example.com"), Login("bob", "example.org")
PASSWORD = "tanstaaf\u00e9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration and its store: alice, and bob in another realm, who is disabled and of whom no secret is kept."""
    (tmp_path / "submission.toml").write_text(
        f"""
        hostname = "mail.example.com"
        state_dir = "{tmp_path}"
        [[listen]]
        address = "127.0.0.1:587"
        tls = "none"
        [auth]
        realm = "example.com"
        """
    )
    sealer = Sealer.from_file(tmp_path / "store.key")
    with closing(DatabaseStore(tmp_path / "users.db")) as store:
        set_password(store, sealer, BOB, PASSWORD, may_create=True, keep_secret=False)
        set_password(store, sealer, ALICE, PASSWORD, may_create=True, keep_secret=True)
        set_disabled(store, BOB, is_disabled=True)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[DatabaseStore]:
    with closing(DatabaseStore(folder / "users.db")) as store:
        yield store


def run(folder: Path, action: str, *arguments: str, password: str | bytes = "") -> Result:
    configuration = str(folder / "submission.toml")
    result = CliRunner().invoke(commands, ["user", action, "-c", configuration, *arguments], input=password)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def on_terminal(folder: Path, action: str, *arguments: str) -> Terminal:
    return Terminal(*COMMAND, action, "-c", str(folder / "submission.toml"), *arguments)


ACTIONS = ("show", "enable", "disable", "delete", "verify")


def test_list_has_a_line_for_each_user_in_columns_for_programs(folder: Path) -> None:
    result = run(folder, "list")
    assert result.exit_code == 0
    assert result.output == (
        "alice@example.com\tenabled\tSCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN CRAM-MD5 DIGEST-MD5\n"  # by realm
        "bob@example.org\tdisabled\tSCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\n"
    )


def test_list_of_nobody_is_empty(folder: Path, store: DatabaseStore) -> None:
    for login in (ALICE, BOB):
        store.change(login, lambda _: None)
    assert (run(folder, "list").exit_code, run(folder, "list").output) == (0, "")


def test_list_is_a_table_on_a_terminal(folder: Path) -> None:
    with on_terminal(folder, "list") as terminal:
        assert terminal.finish() == 0
    assert "\t" not in terminal.screen
    rows = [line for line in terminal.screen.splitlines() if "alice@example.com" in line]
    assert len(rows) == 1
    assert "enabled" in rows[0]
    assert "User" in terminal.screen


def test_names_that_somebody_else_wrote_into_the_store_are_shown_and_not_obeyed(
    folder: Path, store: DatabaseStore
) -> None:
    login = Login("[red]mallory\t\n\x1b[2J", "example.com")
    store.change(login, lambda _: Record(login, "hash"))
    lines = run(folder, "list").output.split("\n")
    assert lines[0] == "[red]mallory\\t\\n\\x1b[2J@example.com\tenabled\tPLAIN LOGIN"
    with on_terminal(folder, "list") as terminal:
        assert terminal.finish() == 0
    assert "\x1b[2J" not in terminal.screen
    assert "[red]mallory\\t\\n\\x1b[2J" in terminal.screen


def test_show_tells_what_is_kept_but_no_secret(folder: Path, store: DatabaseStore) -> None:
    result = run(folder, "show", "alice")
    assert result.exit_code == 0
    assert result.output == (
        "user\talice\n"
        "realm\texample.com\n"
        "state\tenabled\n"
        "mechanisms\tSCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN CRAM-MD5 DIGEST-MD5\n"
        "password hash\tkept\n"
        "keys for SCRAM\tkept\n"
        "recoverable password\tkept, sealed\n"
    )
    output = run(folder, "show", "bob@example.org").output
    assert "state\tdisabled\n" in output
    assert "recoverable password\tnone\n" in output


def test_disable_and_enable_change_the_state_and_nothing_else(folder: Path, store: DatabaseStore) -> None:
    before = store.read(ALICE)
    assert before is not None
    for action, is_disabled in (("disable", True), ("disable", True), ("enable", False)):
        result = run(folder, action, "alice")
        assert (result.exit_code, result.output) == (0, "")
        assert store.read(ALICE) == replace(before, is_disabled=is_disabled)


def test_delete_removes_the_user_and_nobody_else(folder: Path, store: DatabaseStore) -> None:
    result = run(folder, "delete", "alice@example.com")
    assert (result.exit_code, result.output) == (0, "")
    assert [record.login for record in store.records()] == [BOB]


@pytest.mark.parametrize("piped", [PASSWORD, PASSWORD + "\n", PASSWORD + "\r\n"])
def test_verify_says_whether_a_client_would_get_in(folder: Path, piped: str) -> None:
    result = run(folder, "verify", "alice", password=piped)
    assert (result.exit_code, result.output) == (0, "")
    assert run(folder, "verify", "bob@example.org", password=piped).exit_code == 1  # disabled


@pytest.mark.parametrize("piped", ["", "wrong", PASSWORD + "\n\n", PASSWORD * 1000, PASSWORD.encode() + b"\xff", "\0"])
def test_verify_refuses_every_other_password_and_repeats_none(folder: Path, piped: str | bytes) -> None:
    result = run(folder, "verify", "alice", password=piped)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: alice@example.com: would be refused, the password is another or the user is disabled\n"
    )


def test_verify_asks_on_a_terminal_and_shows_nothing_of_the_answer(folder: Path) -> None:
    for password, code in ((PASSWORD, 0), ("wrong", 1)):
        with on_terminal(folder, "verify", "alice") as terminal:
            terminal.answer("Password: ", password)
            assert terminal.finish() == code
        assert terminal.screen.startswith("Password: \r\n")
        assert password not in terminal.screen


def test_verify_asks_for_no_password_of_a_user_who_isn_t_there(folder: Path) -> None:
    with on_terminal(folder, "verify", "mallory") as terminal:
        assert terminal.finish() == 1
    assert terminal.screen == "Error: mallory@example.com: no such user\r\n"


@pytest.mark.parametrize("action", ACTIONS)
def test_a_user_who_isn_t_there_is_a_failure(folder: Path, store: DatabaseStore, action: str) -> None:
    before = list(store.records())
    result = run(folder, action, "bob", password=PASSWORD)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: bob@example.com: no such user\n"
    assert list(store.records()) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_a_name_that_can_be_none_is_a_failure(folder: Path, action: str) -> None:
    result = run(folder, action, "a\x1bb")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: user name: user and realm must not hold control characters\n"


@pytest.mark.parametrize("action", ["list", *ACTIONS])
def test_trouble_with_the_store_is_unavailable(folder: Path, action: str) -> None:
    file = folder / "users.db"
    file.write_bytes(b"garbage" * 1000)
    arguments = [] if action == "list" else ["alice"]
    result = run(folder, action, *arguments)
    assert (result.exit_code, result.stdout) == (69, "")
    assert result.stderr == f"Error: {file}: file is not a database\n"
    file.unlink()
    file.mkdir()
    result = run(folder, action, *arguments)
    assert (result.exit_code, result.stdout) == (69, "")
    assert result.stderr == f"Error: {file}: unable to open database file\n"


@pytest.mark.parametrize("action", ["list", *ACTIONS])
def test_a_faulty_configuration_is_told_as_everywhere(folder: Path, action: str) -> None:
    (folder / "submission.toml").write_text("workers = 0.5")
    result = run(folder, action, *([] if action == "list" else ["alice"]))
    assert (result.exit_code, result.stdout) == (78, "")
    assert "workers: 0.5 must be a whole number" in result.stderr


@pytest.mark.parametrize("arguments", [["list", "alice"], ["show"], ["delete", "alice", "bob"], ["nonsense"]])
def test_usage_errors(arguments: list[str]) -> None:
    assert CliRunner().invoke(commands, ["user", *arguments]).exit_code == 2


def test_a_process_of_its_own_does_the_same(folder: Path) -> None:
    command = [*COMMAND, "verify", "-c", str(folder / "submission.toml"), "alice"]
    for password, code in ((PASSWORD, 0), ("wrong", 1)):
        result = subprocess.run(command, input=password.encode(), capture_output=True, timeout=30)
        assert (result.returncode, result.stdout) == (code, b"")


def test_accounts_in_a_sasldb2_are_looked_at_and_changed_alike(folder: Path) -> None:
    path = folder / "sasldb2"
    file = folder / "submission.toml"
    file.write_text(file.read_text() + '[store]\nurl = "sasldb2:sasldb2"\n')
    result = run(folder, "list")
    assert result.exit_code == 69
    assert f"{path}: No such file" in result.output
    set_password(Sasldb2Store(path), None, ALICE, PASSWORD, may_create=True, keep_secret=True)
    [name, state, mechanisms] = run(folder, "list").output.rstrip("\n").split("\t")
    assert (name, state) == ("alice@example.com", "enabled")
    assert set(mechanisms.split()) >= {"PLAIN", "LOGIN", "CRAM-MD5"}
    shown = run(folder, "show", "alice").output
    assert "password hash\tnone\n" in shown
    assert "recoverable password\tin the clear\n" in shown
    assert PASSWORD not in shown
    assert run(folder, "verify", "alice", password=PASSWORD).exit_code == 0
    assert run(folder, "verify", "alice", password="another").exit_code == 1
    refused = run(folder, "disable", "alice")
    assert refused.exit_code == 1
    assert "can't keep that a user is disabled" in refused.output
    assert run(folder, "enable", "alice").exit_code == 0
    assert run(folder, "delete", "alice").exit_code == 0
    assert run(folder, "list").output == ""
