import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.core.quotas import Thing, limits_of
from submission.credentials.sealing import Sealer
from submission.state.quotas import KEY_PURPOSE, LimitReachedError, QuotaTable, Subject
from submission.state.sqlite import SqliteState

USER = limits_of({"messages_per_hour": 2, "recipients_per_day": 50})
ADDRESS = limits_of({"recipients_per_hour": 9})
ALICE = Subject("user alice@example.com", USER)


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
        [limits.user]
        messages_per_hour = 2
        recipients_per_day = 50
        [limits.address]
        recipients_per_hour = 9
        """
    )
    return tmp_path


@pytest.fixture
def table(folder: Path) -> Iterator[QuotaTable]:
    with closing(SqliteState(folder / "state.db")) as state:
        yield QuotaTable(state, Sealer.from_file(folder / "store.key").derive(KEY_PURPOSE))


def run(folder: Path, command: str, *arguments: str) -> Result:
    configuration = ("-c", str(folder / "submission.toml"))
    result = CliRunner().invoke(commands, ["limits", command, *configuration, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def send(table: QuotaTable, key: str, thing: Thing, times: int) -> None:
    async def take() -> None:
        subject = Subject(key, USER if key.startswith("user") else ADDRESS)
        for _ in range(times):
            await table.take(subject, thing)
        table.close()

    asyncio.run(take())


def test_what_was_sent_is_shown_and_when_there_is_more_of_what_is_used_up(folder: Path, table: QuotaTable) -> None:
    assert run(folder, "show").output == ""
    send(table, ALICE.key, Thing.MESSAGES, 2)
    send(table, ALICE.key, Thing.RECIPIENTS, 3)
    send(table, "address 192.0.2.5", Thing.RECIPIENTS, 4)
    shown = rows(run(folder, "show"))
    assert [row[:4] for row in shown] == [
        ["192.0.2.5", "recipients_per_hour", "4", "9"],
        ["alice@example.com", "messages_per_hour", "2", "2"],
        ["alice@example.com", "recipients_per_day", "3", "50"],
    ]
    assert [row[4] == "-" for row in shown] == [True, False, True]
    assert shown[1][4].startswith(time.strftime("%Y-"))


def test_one_is_shown_with_all_limits(folder: Path, table: QuotaTable) -> None:
    send(table, ALICE.key, Thing.MESSAGES, 1)
    assert rows(run(folder, "show", "alice")) == [
        ["alice@example.com", "messages_per_hour", "1", "2", "-"],
        ["alice@example.com", "recipients_per_day", "0", "50", "-"],
    ]
    assert [row[2] for row in rows(run(folder, "show", "bob@example.org"))] == ["0", "0"]
    assert rows(run(folder, "show", "2001:db8::7")) == [["2001:db8::/64", "recipients_per_hour", "0", "9", "-"]]
    assert run(folder, "show", "@").exit_code == 2


@pytest.mark.parametrize(
    ("whom", "left"),
    [
        (["alice"], {"user bob@example.com", "address 192.0.2.5", "address 2001:db8::/64"}),
        (["bob@example.com", "192.0.2.5"], {"user alice@example.com", "address 2001:db8::/64"}),
        (["2001:db8::77"], {"user alice@example.com", "user bob@example.com", "address 192.0.2.5"}),
        (["2001:db8::/64"], {"user alice@example.com", "user bob@example.com", "address 192.0.2.5"}),
        (["--all"], set()),
    ],
)
def test_clearing(folder: Path, table: QuotaTable, whom: list[str], left: set[str]) -> None:
    for key in ("user alice@example.com", "user bob@example.com"):
        send(table, key, Thing.MESSAGES, 1)
    for key in ("address 192.0.2.5", "address 2001:db8::/64"):
        send(table, key, Thing.RECIPIENTS, 1)
    assert run(folder, "clear", *whom).exit_code == 0
    assert set(table.usages()) == left


def test_who_is_cleared_may_send_at_once(folder: Path, table: QuotaTable) -> None:
    send(table, ALICE.key, Thing.MESSAGES, 2)
    with pytest.raises(LimitReachedError):
        send(table, ALICE.key, Thing.MESSAGES, 1)
    run(folder, "clear", "alice")
    send(table, ALICE.key, Thing.MESSAGES, 2)


def test_clearing_wants_to_know_whom(folder: Path) -> None:
    assert run(folder, "clear").exit_code == 2
    assert run(folder, "clear", "--all", "alice").exit_code == 2
    assert run(folder, "clear", "alice").exit_code == 1
    assert run(folder, "clear", "--all").exit_code == 0


def test_a_state_that_cannot_be_used(folder: Path) -> None:
    (folder / "state.db").mkdir()
    result = run(folder, "show")
    assert result.exit_code == os.EX_UNAVAILABLE
    assert "state.db" in result.output
