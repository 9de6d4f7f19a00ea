import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.core.addresses import Login
from submission.credentials import open_store
from submission.credentials.accounts import set_password
from submission.credentials.sealing import Sealer
from submission.state.penalties import KEY_PURPOSE, PenaltyTable
from submission.state.sqlite import SqliteState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, and a store with alice."""
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
    with closing(open_store(f"sqlite:{tmp_path}/users.db")) as store:
        set_password(store, sealer, Login("alice", "example.com"), "x", may_create=True, keep_secret=False)
    return tmp_path


@pytest.fixture
def table(folder: Path) -> Iterator[PenaltyTable]:
    with closing(SqliteState(folder / "state.db")) as state:
        yield PenaltyTable(state, Sealer.from_file(folder / "store.key").derive(KEY_PURPOSE))


def run(folder: Path, *arguments: str) -> Result:
    command, options = arguments[:1], arguments[1:]
    configuration = ("-c", str(folder / "submission.toml"))
    result = CliRunner().invoke(commands, ["penalties", *command, *configuration, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def fail(table: PenaltyTable, address: str, user: str, times: int) -> None:
    for number in range(times):
        asyncio.run(table.fail(address, user, f"guess{number}"))


def rows(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_who_has_penalties_is_shown_by_name_where_the_store_knows_it(folder: Path, table: PenaltyTable) -> None:
    assert run(folder).output == ""
    fail(table, "192.0.2.50", "alice@example.com", 6)
    fail(table, "192.0.2.51", "tanstaaf@example.com", 30)
    listed = {row[0]: row[1:] for row in rows(run(folder))}
    assert listed["192.0.2.50"] == ["6", "15 s", "-"]
    assert listed["alice@example.com"] == ["6", "4 s", "-"]
    assert listed["192.0.2.51"][:2] == ["30", "15 s"]
    assert listed["192.0.2.51"][2] != "-"
    (unknown,) = set(listed) - {"192.0.2.50", "192.0.2.51", "alice@example.com"}
    assert unknown.startswith("#")


@pytest.mark.parametrize(
    ("whom", "left"),
    [
        (["192.0.2.50"], {"2001:db8:1:2::/64", "2001:db8:1::/48", "alice@example.com"}),
        (["192.0.2.0/24", "alice"], {"2001:db8:1:2::/64", "2001:db8:1::/48"}),
        (["2001:db8:1:2::77"], {"192.0.2.50", "alice@example.com"}),
        (["--all"], set()),
    ],
)
def test_clear_takes_an_address_a_network_a_user_or_all(
    folder: Path, table: PenaltyTable, whom: list[str], left: set[str]
) -> None:
    fail(table, "192.0.2.50", "alice@example.com", 4)
    fail(table, "2001:db8:1:2::5", "alice@example.com", 4)
    assert run(folder, "clear", *whom).exit_code == 0
    assert {row[0] for row in rows(run(folder))} == left


def test_clearing_nothing_is_told(folder: Path, table: PenaltyTable) -> None:
    result = run(folder, "clear", "192.0.2.50", "bob")
    assert (result.exit_code, result.stderr) == (1, "Error: none of these has a penalty\n")
    assert run(folder, "clear").exit_code == 2
    assert run(folder, "clear", "--all", "alice").exit_code == 2
    assert run(folder, "clear", "--all").exit_code == 0


def test_a_state_that_can_not_be_used_ends_with_69(folder: Path) -> None:
    (folder / "state.db").mkdir()
    assert run(folder).exit_code == os.EX_UNAVAILABLE
