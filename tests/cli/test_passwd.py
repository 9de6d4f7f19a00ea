"""submission-passwd as a process of its own: flags, exit codes and prompts, beside those of saslpasswd2."""

import re
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from submission.cli.passwd import passwd
from submission.core.addresses import Login
from submission.credentials.accounts import SECRET
from submission.credentials.database import DatabaseStore
from submission.credentials.hashing import MAX_PASSWORD, verify
from submission.credentials.sasldb2 import Sasldb2Store
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record
from tests.support.programs import require
from tests.support.terminal import END_OF_FILE, INTERRUPT, Terminal

COMMAND = [sys.executable, "-c", "from submission.cli.passwd import main; main()"]
ALICE = Login("alice", "example.com")
PASSWORD = "tanstaaf\u00e9"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration whose store doesn't exist yet; the path of that store."""
    (tmp_path / "state").mkdir()
    (tmp_path / "submission.toml").write_text(
        """
        hostname = "mail.example.com"
        state_dir = "state"
        [[listen]]
        address = "127.0.0.1:587"
        tls = "none"
        [auth]
        realm = "example.com"
        """
    )
    return tmp_path / "state" / "users.db"


def configured(path: Path) -> list[str]:
    return ["-C", str(path.parent.parent / "submission.toml")]


def run(*arguments: str, password: bytes = PASSWORD.encode()) -> subprocess.CompletedProcess[bytes]:
    result = subprocess.run([*COMMAND, *arguments], input=password, capture_output=True, timeout=30)
    assert b"Traceback" not in result.stderr
    return result


def make(path: Path, *arguments: str) -> Record:
    """alice's record, made as the arguments say."""
    result = run(*configured(path), "-c", *arguments, "alice")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    return read(path)


def read_all(path: Path) -> list[Record]:
    with closing(DatabaseStore(path)) as store:
        return list(store.records())


def read(path: Path) -> Record:
    [record] = read_all(path)
    return record


def secret(path: Path) -> str:
    record = read(path)
    return Sealer.from_file(path.parent / "store.key").open(record.secret, record.login, SECRET)


def test_makes_a_user_with_all_credentials_in_files_for_their_owner_alone(path: Path) -> None:
    record = make(path)
    assert record.login == ALICE
    assert verify(PASSWORD, record.password)
    assert secret(path) == PASSWORD
    files = list(path.parent.iterdir())
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in files} == {"users.db": 0o600, "store.key": 0o600}
    assert not any(PASSWORD.encode() in file.read_bytes() for file in files)


def test_without_c_it_changes_and_doesn_t_make(path: Path) -> None:
    result = run(*configured(path), "alice")
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == b"Error: alice@example.com: no such user; -c creates it\n"
    assert read_all(path) == []
    make(path)
    for flags in ([], ["-c"]):
        other = "new" + "".join(flags)
        assert run(*configured(path), *flags, "alice", password=other.encode()).returncode == 0
        assert verify(other, read(path).password)
        assert secret(path) == other


def test_n_keeps_no_secret_and_forgets_one(path: Path) -> None:
    record = make(path, "-n")
    assert record.secret == ""
    assert verify(PASSWORD, record.password)
    make(path)
    assert secret(path) == PASSWORD
    assert make(path, "-n").secret == ""


def test_d_deletes(path: Path) -> None:
    make(path)
    result = run(*configured(path), "-d", "alice", password=b"")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert read_all(path) == []
    result = run(*configured(path), "-d", "alice", password=b"")
    assert (result.returncode, result.stderr) == (1, b"Error: alice@example.com: no such user\n")


@pytest.mark.parametrize(
    ("arguments", "login"),
    [
        (["-u", "example.org", "alice"], Login("alice", "example.org")),
        (["alice@example.org"], Login("alice", "example.org")),
        (["-u", "example.org", "alice@example.org"], Login("alice", "example.org")),
        (["-p", "alice"], ALICE),
        (["--", "-d"], Login("-d", "example.com")),
    ],
)
def test_the_realm_is_the_option_s_or_the_name_s_or_the_configuration_s(
    path: Path, arguments: list[str], login: Login
) -> None:
    assert run(*configured(path), "-c", *arguments).returncode == 0
    assert read(path).login == login


def test_two_realms_that_differ_are_a_failure(path: Path) -> None:
    result = run(*configured(path), "-c", "-u", "example.org", "alice@example.net")
    assert result.returncode == 1
    assert b"another realm" in result.stderr
    assert not path.exists()


@pytest.mark.parametrize("prefix", ["", "sqlite:"])
def test_f_names_a_store_whose_key_lies_beside_it(path: Path, prefix: str) -> None:
    other = path.with_name("other.db")
    result = run("-c", "-f", f"{prefix}{other}", "alice")
    assert (result.returncode, result.stderr) == (0, b"")
    assert read(other).login == Login("alice", socket.gethostname())
    assert secret(other) == PASSWORD
    assert {file.name for file in path.parent.iterdir()} == {"other.db", "store.key"}


def test_f_may_name_a_sasldb2_which_is_known_by_its_content(path: Path) -> None:
    store, place = Sasldb2Store(path), ["-u", "example.com", "-f", str(path)]
    assert run("-c", "-u", "example.com", "-f", f"sasldb2:{path}", "alice").returncode == 0
    assert list(store.records()) == [Record(ALICE, clear=PASSWORD)]
    assert run(*place, "alice", password=b"another").returncode == 0
    assert list(store.records()) == [Record(ALICE, clear="another")]
    result = run(*place, "-n", "alice")
    assert (result.returncode, b"nothing would be kept" in result.stderr) == (1, True)
    assert run(*place, "bob").returncode == 1
    assert list(store.records()) == [Record(ALICE, clear="another")]
    assert run(*place, "-d", "alice").returncode == 0
    assert list(store.records()) == []
    assert {file.name for file in path.parent.iterdir()} == {"users.db", "users.db.lock"}  # and no key


@pytest.mark.parametrize(
    ("piped", "kept"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" secret ", " secret "),
        (b"x" * MAX_PASSWORD + b"\r\n", "x" * MAX_PASSWORD),
    ],
)
def test_piped_input_is_the_password_but_for_a_line_end(path: Path, piped: bytes, kept: str) -> None:
    assert run(*configured(path), "-c", "alice", password=piped).returncode == 0
    assert secret(path) == kept


@pytest.mark.parametrize(
    "piped", [b"", b"\n", b"secret\n\n", b"secret\nsecret\n", b"sec\0ret", b"secret\xff", b"secret" * 100_000]
)
def test_a_password_that_can_be_none_is_a_failure_and_not_repeated(path: Path, piped: bytes) -> None:
    result = run(*configured(path), "-c", "alice", password=piped)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.startswith(b"Error: password: ")
    assert b"secret" not in result.stderr
    assert read_all(path) == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["alice", "secret"], ["-x", "alice"], ["-c", "-d", "alice"], ["-u"], ["-f", "x", "-C", "y", "alice"]],
)
def test_a_wrong_call_is_a_usage_error(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"Error: " in result.stderr


def test_what_can_t_be_used_is_told_in_a_line(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    path.chmod(0o600)
    for arguments, complaint in (
        (["-C", "/nowhere/submission.toml"], b"/nowhere/submission.toml: No such file"),
        (["-f", str(path.parent)], b"unable to open"),
        (["-f", str(path)], b"not a database"),
        (["-f", "/nowhere/users.db"], b"/nowhere/users.db: No such file"),
    ):
        for flags in (["-c"], ["-d"]):
            result = run(*arguments, *flags, "alice")
            assert (result.returncode, result.stdout) == (1, b"")
            assert complaint in result.stderr
            assert result.stderr.count(b"\n") == 1


def test_a_key_that_others_may_read_is_refused_before_anything_is_kept(path: Path) -> None:
    make(path)
    before = read(path)
    (path.parent / "store.key").chmod(0o644)
    result = run(*configured(path), "alice", password=b"another")
    assert result.returncode == 1
    assert b"chmod 600" in result.stderr
    assert read(path) == before


def test_asks_twice_on_a_terminal_and_shows_nothing_of_it(path: Path) -> None:
    with Terminal(*COMMAND, *configured(path), "-c", "alice") as terminal:
        terminal.answer("Password: ", PASSWORD)
        terminal.answer("Again (for verification): ", PASSWORD)
        assert terminal.finish() == 0
    assert terminal.screen == "Password: \r\nAgain (for verification): \r\n"
    assert secret(path) == PASSWORD


@pytest.mark.parametrize("kind", ["sqlite", "sasldb2"])
@pytest.mark.parametrize(("again", "is_right"), [("secret", True), ("Secret", False)])
def test_the_prompts_are_saslpasswd2_s(path: Path, kind: str, again: str, is_right: bool) -> None:
    require("saslpasswd2")
    theirs = ["saslpasswd2", "-c", "-f", str(path.with_name("theirs")), "-u", "example.com", "alice"]
    ours = [*COMMAND, "-c", "-f", f"{kind}:{path}", "-u", "example.com", "alice"]
    screens = []
    for command in (theirs, ours):
        with Terminal(*command) as terminal:
            terminal.answer(": ", "secret")
            terminal.answer("): ", again)
            assert (terminal.finish() == 0) == is_right
        screens.append(re.findall(r"[A-Z].*?: ", terminal.screen)[:2])
        assert "ecret" not in terminal.screen
    assert screens == [["Password: ", "Again (for verification): "]] * 2


@pytest.mark.parametrize(
    ("first", "second", "complaint"),
    [("secret", "Secret", "the passwords differ, nothing was changed"), ("", "", "password: must not be empty")],
)
def test_passwords_that_differ_or_are_none_change_nothing(path: Path, first: str, second: str, complaint: str) -> None:
    before = make(path)
    with Terminal(*COMMAND, *configured(path), "alice") as terminal:
        terminal.answer("Password: ", first)
        terminal.answer("verification): ", second)
        assert terminal.finish() == 1
    assert terminal.screen.endswith(f"Error: {complaint}\r\n")
    assert "ecret" not in terminal.screen
    assert read(path) == before


def test_without_standard_input_there_is_no_password(path: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, *configured(path), "-c", "alice"]
    result = subprocess.run(closed, capture_output=True, timeout=30)
    assert (result.returncode, result.stderr) == (1, b"Error: password: must not be empty\n")


@pytest.mark.parametrize("kind", ["sqlite", "sasldb2"])
@pytest.mark.parametrize(
    ("arguments", "password", "code", "their_code"),
    [
        (["-c", "alice"], b"secret\n", 0, 0),
        (["-c", "-n", "alice"], b"secret\n", 0, 0),
        (["-c", "alice"], b"", 1, 7),
        (["-c", "alice"], b"\n", 1, 7),
        (["-c", "-d", "alice"], b"", 2, 1),
        ([], b"", 2, 1),
        (["-d", "alice"], b"", 1, 0),
        (["alice"], b"secret\n", 1, 0),
        (["-c", "alice@example.org"], b"secret\n", 1, 0),
    ],
)
def test_what_is_refused_and_what_saslpasswd2_makes_of_it(
    path: Path, kind: str, arguments: list[str], password: bytes, code: int, their_code: int
) -> None:
    require("saslpasswd2")
    arguments = ["-u", "example.com", *arguments]
    if kind == "sasldb2" and "-n" in arguments:
        code = 1  # where saslpasswd2 is content, and keeps nothing
    assert run("-f", f"{kind}:{path}", *arguments, password=password).returncode == code
    path.unlink(missing_ok=True)
    command = ["saslpasswd2", "-f", str(path), *arguments]
    theirs = subprocess.run(command, input=password, capture_output=True, timeout=30)
    assert theirs.returncode == their_code


def test_an_interrupt_changes_nothing(path: Path) -> None:
    before = make(path)
    with Terminal(*COMMAND, *configured(path), "alice") as terminal:
        terminal.answer("Password: ", "secret")
        terminal.expect("verification): ")
        terminal.type(INTERRUPT)
        assert terminal.finish() == 1
    assert "Traceback" not in terminal.screen
    assert read(path) == before


def test_nobody_is_asked_for_the_password_of_a_user_who_isn_t_there(path: Path) -> None:
    with Terminal(*COMMAND, *configured(path), "alice") as terminal:
        assert terminal.finish() == 1
    assert "no such user" in terminal.screen
    assert "Password" not in terminal.screen


def test_p_asks_nothing_even_on_a_terminal(path: Path) -> None:
    with Terminal(*COMMAND, *configured(path), "-c", "-p", "alice") as terminal:
        terminal.type("secret\n" + END_OF_FILE)
        assert terminal.finish() == 0
    assert "Password" not in terminal.screen
    assert secret(path) == "secret"


def test_a_password_among_the_arguments_is_not_repeated() -> None:
    result = CliRunner().invoke(passwd, ["-c", "alice", "geheim"])
    assert result.exit_code == 2
    assert "geheim" not in result.output
