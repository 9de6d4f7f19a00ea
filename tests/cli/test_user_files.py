"""Accounts that come from other programs' files, and go into them."""

import csv
import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.core.addresses import Login
from submission.core.databases import berkeley_db
from submission.credentials import open_store
from submission.credentials.accounts import SECRET, is_password, set_password
from submission.credentials.sasldb2 import read_passwords
from submission.credentials.sealing import Sealer
from submission.credentials.store import Store
from tests.support.terminal import Terminal

ALICE, BOB = Login("alice", "example.com"), Login("bob", "example.org")
SHA = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="  # of "password"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
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
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:{folder}/users.db")) as store:
        yield store


def run(folder: Path, *arguments: str, text: str | bytes = "") -> Result:
    command, *options = arguments
    result = CliRunner().invoke(
        commands, ["user", command, "-c", str(folder / "submission.toml"), *options], input=text
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_what_a_file_has_is_taken_and_the_rest_told_without_secrets(folder: Path, store: Store) -> None:
    source = folder / "auth_logins"
    source.write_text("# Exim\nalice sesame\nbob@example.org tree house\nlonely\nca\x01rol x\nalice other\n")
    dry = run(folder, "import", "--dry-run", str(source))
    assert list(store.records()) == []
    result = run(folder, "import", str(source))
    assert (dry.exit_code, result.exit_code) == (1, 1)
    assert result.stdout == dry.stdout == "alice@example.com\tpassword\nbob@example.org\tpassword\n"
    assert result.stderr.splitlines() == [
        f"{source}: line 4: is not `login password`",
        f"{source}: line 5: ca\\x01rol: user name: user and realm must not hold control characters",
        f"{source}: line 6: alice@example.com: is in the file more than once, the first one counts",
        "2 of 5 taken",
    ]
    assert is_password(store, ALICE, "sesame")
    assert is_password(store, BOB, "tree house")
    record = store.read(ALICE)
    assert record is not None
    assert Sealer.from_file(folder / "store.key").open(record.secret, ALICE, SECRET) == "sesame"


def test_who_is_there_already_is_left_unless_told(folder: Path, store: Store) -> None:
    assert run(folder, "import", "--format", "exim", "-", text="alice old\n").exit_code == 0
    result = run(folder, "import", "--format", "exim", "-", text="alice new\n")
    assert result.exit_code == 1
    assert "alice@example.com: is there already, and was left as it is" in result.stderr
    assert is_password(store, ALICE, "old")
    assert run(folder, "import", "--format", "exim", "--replace", "-n", "-", text="alice new\n").exit_code == 0
    assert is_password(store, ALICE, "new")
    record = store.read(ALICE)
    assert record is not None
    assert record.secret == ""


def test_hashes_and_keys_are_kept_as_they_are(folder: Path, store: Store) -> None:
    keys = "{SCRAM-SHA-256}4096,c2FsdHNhbHQ=," + ",".join(["A" * 43 + "="] * 2)
    text = f"alice:{SHA}:::::\nbob@example.org:{keys}\ncarol:{{SSHA.HEX}}00\ndave:$6$rounds=9999999$x${'y' * 86}\n"
    result = run(folder, "import", "--format", "passwd-file", "-", text=text)
    assert result.stdout.splitlines() == [
        "alice@example.com\thash, for PLAIN and LOGIN until the next login",
        "bob@example.org\tSCRAM keys, for SCRAM alone",
    ]
    assert "line 4: dave: costs too much to be verified at each login" in result.stderr
    alice, bob = store.read(ALICE), store.read(BOB)
    assert alice is not None
    assert bob is not None
    assert (alice.password, alice.secret, bob.scram_sha_256) == (SHA, "", keys)
    assert is_password(store, ALICE, "password")


def test_a_file_that_can_not_be_read_or_guessed_is_told(folder: Path) -> None:
    assert run(folder, "import", str(folder / "nothing")).exit_code == os.EX_DATAERR
    latin = run(folder, "import", "--format", "exim", "-", text=b"alice x\nb\xf6b y\n")
    assert (latin.exit_code, "line 2: is not UTF-8" in latin.stderr) == (os.EX_DATAERR, True)
    assert run(folder, "import", "-", text="alice:sesame\n").exit_code == 2


def test_sasldb2_comes_and_goes(folder: Path, store: Store) -> None:
    entries = {b"alice\0example.com\0userPassword": b"sesame", b"bob\0example.org\0userPassword": "p\u00e4ss".encode()}
    (folder / "old").write_bytes(berkeley_db.write(entries))
    assert run(folder, "import", str(folder / "old")).exit_code == 0
    assert is_password(store, BOB, "p\u00e4ss")
    assert run(folder, "export", "--format", "sasldb2").exit_code == 2
    run(folder, "import", "--format", "exim", "-n", "-", text="carol x\n")
    result = run(folder, "export", "--format", "sasldb2", "--with-passwords", "-o", str(folder / "new"))
    assert (result.exit_code, result.stderr) == (1, "carol@example.com: left out: no recoverable password is kept\n")
    assert list(read_passwords(folder / "new")) == list(read_passwords(folder / "old"))
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o600


def test_what_is_exported_can_be_imported_again(folder: Path, store: Store) -> None:
    sealer = Sealer.from_file(folder / "store.key")
    set_password(store, sealer, ALICE, 'se"sa,me', may_create=True, keep_secret=True)
    run(folder, "import", "--format", "passwd-file", "-", text=f"bob@example.org:{SHA}\n")
    plain = run(folder, "export")
    assert 'se"sa' not in plain.stdout
    listed = list(csv.DictReader(io.StringIO(run(folder, "export", "--with-passwords").stdout)))
    assert [(row["user"], row["realm"], row["password"]) for row in listed] == [
        ("alice", "example.com", 'se"sa,me'),
        ("bob", "example.org", ""),
    ]
    for form in ("csv", "passwd-file"):
        exported = run(folder, "export", "--format", form)
        assert exported.exit_code == 0
        again = run(folder, "import", "--replace", "-", text=exported.stdout)
        assert again.exit_code == 0, again.stderr
        assert is_password(store, ALICE, 'se"sa,me')
        assert is_password(store, BOB, "password")


def test_an_export_is_never_written_over_a_file(folder: Path) -> None:
    target = folder / "there"
    target.write_text("precious")
    result = run(folder, "export", "-o", str(target))
    assert (result.exit_code, target.read_text()) == (1, "precious")
    assert not list(folder.glob(".there*"))


def test_on_a_terminal_one_sees_how_far_it_is(folder: Path, store: Store) -> None:
    source = folder / "accounts"
    source.write_text("".join(f"user{number}:{SHA}:::::\n" for number in range(40)))
    command = [sys.executable, "-m", "submission", "user", "import", "-c", str(folder / "submission.toml"), str(source)]
    with Terminal(*command) as terminal:
        assert terminal.finish() == 0
    assert "Accounts" in terminal.screen
    assert "40 of 40 taken" in terminal.screen
    assert len(list(store.records())) == 40


def test_an_import_that_is_killed_has_taken_whole_accounts(folder: Path, store: Store) -> None:
    text = "".join(f"user{number} password{number}\n" for number in range(60))
    command = [sys.executable, "-m", "submission", "user", "import", "-c", str(folder / "submission.toml")]
    with subprocess.Popen([*command, "--format", "exim", "-"], stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
        while not list(store.records()):
            assert process.poll() is None
        process.kill()
    taken = list(store.records())
    assert 0 < len(taken) < 60
    for record in taken[:5]:
        assert is_password(store, record.login, f"password{record.login.user.removeprefix('user')}")
        assert record.secret
        assert record.scram_sha_256
    assert run(folder, "import", "--format", "exim", "-", text=text).exit_code == 1
    assert len(list(store.records())) == 60
