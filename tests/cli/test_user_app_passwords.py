"""App passwords from their making to their end, tried by logins to a session."""

import base64
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.core import replies
from submission.core.transaction import Identity, Via
from submission.credentials import open_store
from submission.credentials.accounts import set_disabled, set_password
from submission.credentials.sealing import Sealer
from submission.credentials.store import Store
from tests.smtp.test_authentication import ALICE, Client, make_settings, plain, session

Logged = Callable[[], list[dict[str, object]]]


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
    """A store with alice."""
    sealer = Sealer.from_file(folder / "store.key")
    with closing(open_store(f"sqlite:{folder}/users.db")) as store:
        set_password(store, sealer, ALICE, "sesame", may_create=True, keep_secret=False)
        yield store


def run(folder: Path, action: str, *arguments: str) -> Result:
    configuration = str(folder / "submission.toml")
    result = CliRunner().invoke(commands, ["user", "app-password", action, "-c", configuration, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def make(folder: Path, *options: str) -> str:
    result = run(folder, "add", "alice", "--label", "printer", *options)
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


@asynccontextmanager
async def client_of(folder: Path) -> AsyncIterator[Client]:
    """A session from 192.0.2.1."""
    async with session(make_settings(folder)) as client:
        yield client


def auth(password: str) -> bytes:
    return b"PLAIN " + base64.b64encode(plain("alice", password))


async def test_one_logs_in_with_its_label_in_the_log(folder: Path, store: Store, logged: Logged) -> None:
    password = make(folder, "--sender", "scan@example.com", "--sender", "@list.example.com")
    async with client_of(folder) as client:
        assert await client.auth(auth(password.upper())) is replies.AUTH_OK
        assert client.peer.identity == Identity(Via.AUTH, ALICE, ("scan@example.com", "@list.example.com"))
    async with client_of(folder) as client:
        assert await client.auth(auth("sesame")) is replies.AUTH_OK  # the user's own goes on
        assert client.peer.identity == Identity(Via.AUTH, ALICE)
    assert [line.get("app") for line in logged() if line["event"] == "auth"] == ["printer", None]


async def test_another_or_a_foreign_one_is_wrong(folder: Path, store: Store) -> None:
    password = make(folder)
    async with client_of(folder) as client:
        assert await client.auth(auth(password[:-1] + ("a" if password[-1] != "a" else "b"))) is replies.AUTH_FAILED
        name = b"PLAIN " + base64.b64encode(plain("bob", password))
        assert await client.auth(name) is replies.AUTH_FAILED


@pytest.mark.parametrize("options", [["--network", "198.51.100.0/24"], ["--expires", "1s"]])
async def test_outside_its_limits_it_is_wrong(folder: Path, store: Store, options: list[str]) -> None:
    password = make(folder, *options)
    record = store.read(ALICE)
    assert record is not None
    (made,) = record.app_passwords
    ended = replace(made, expires=made.expires and time.time() - 1)
    store.change(ALICE, lambda current: current and replace(current, app_passwords=(ended,)))
    async with client_of(folder) as client:
        assert await client.auth(auth(password)) is replies.AUTH_FAILED


async def test_within_its_limits_it_is_right_and_its_use_is_noted_once(folder: Path, store: Store) -> None:
    password = make(folder, "--network", "192.0.2.0/24", "--expires", "90d")
    for _ in range(2):
        async with client_of(folder) as client:
            assert await client.auth(auth(password)) is replies.AUTH_OK
        record = store.read(ALICE)
        assert record is not None
        used = record.app_passwords[0].used
        assert time.time() - used < 60
        assert used == record.app_passwords[0].used
    columns = run(folder, "list", "alice").stdout.rstrip("\n").split("\t")
    assert (columns[0], columns[4], columns[5]) == ("printer", "192.0.2.0/24", "any")
    assert columns[3] != "-"


async def test_it_ends_with_removal_or_when_the_user_is_disabled(folder: Path, store: Store) -> None:
    password = make(folder)
    set_disabled(store, ALICE, is_disabled=True)
    async with client_of(folder) as client:
        assert await client.auth(auth(password)) is replies.AUTH_FAILED
    set_disabled(store, ALICE, is_disabled=False)
    assert run(folder, "remove", "alice", "printer").exit_code == 0
    async with client_of(folder) as client:
        assert await client.auth(auth(password)) is replies.AUTH_FAILED
    assert run(folder, "remove", "alice", "printer").exit_code == 1


def test_a_new_password_leaves_them_alone(folder: Path, store: Store) -> None:
    make(folder)
    set_password(store, Sealer.from_file(folder / "store.key"), ALICE, "new", may_create=False, keep_secret=True)
    record = store.read(ALICE)
    assert record is not None
    assert [each.label for each in record.app_passwords] == ["printer"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["alice", "--label", ""],
        ["alice"],
        ["alice", "--label", "x", "--expires", "yesterday"],
        ["alice", "--label", "x", "--expires", "2020-01-01"],
        ["alice", "--label", "x", "--network", "192.0.2.1/24"],
        ["alice", "--label", "x", "--sender", "nobody"],
    ],
)
def test_a_slip_is_told(folder: Path, store: Store, arguments: list[str]) -> None:
    assert run(folder, "add", *arguments).exit_code == 2


def test_a_label_is_there_once_and_a_user_has_to_be(folder: Path, store: Store) -> None:
    make(folder)
    assert run(folder, "add", "alice", "--label", "printer").exit_code == 1
    assert run(folder, "add", "nobody", "--label", "x").exit_code == 1
