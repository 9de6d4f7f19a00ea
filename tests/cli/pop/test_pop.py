import asyncio
import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from submission.cli.pop.importing import import_table
from submission.cli.pop.report import report
from submission.cli.pop.table import add, list_grants, remove
from submission.core.grants import Grant
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState

NOW = time.time()

commands = click.Group(commands={command.name: command for command in (add, list_grants, remove, import_table, report)})
"""Not part of `submission` yet: nothing asks the table who may send."""


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
def table(folder: Path) -> Iterator[GrantTable]:
    with closing(SqliteState(folder / "state.db")) as state:
        yield GrantTable(state)


def run(folder: Path, action: str, *arguments: str) -> Result:
    result = CliRunner().invoke(commands, [action, "-c", str(folder / "submission.toml"), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_what_is_added_is_listed_and_can_be_removed(folder: Path, table: GrantTable) -> None:
    assert run(folder, "list").output == ""
    assert run(folder, "add", "::ffff:192.0.2.50", "joe").exit_code == 0
    assert run(folder, "add", "--for", "2h", "192.0.2.50", "ann@example.org").exit_code == 0
    grants = {grant.user: grant for grant in table.grants()}
    now = time.time()
    assert grants["joe@example.com"].until - now == pytest.approx(1800, abs=60)
    assert grants["ann@example.org"].until - now == pytest.approx(7200, abs=60)
    listed = rows(run(folder, "list"))
    assert [row[:3] for row in listed] == [
        ["192.0.2.50", "joe@example.com", "hand"],
        ["192.0.2.50", "ann@example.org", "hand"],
    ]
    assert run(folder, "remove", "192.0.2.50", "joe").exit_code == 0
    assert [grant.user for grant in table.grants()] == ["ann@example.org"]
    assert run(folder, "remove", "192.0.2.50").exit_code == 0
    assert table.grants() == []
    again = run(folder, "remove", "192.0.2.50")
    assert (again.exit_code, again.stderr) == (1, "Error: 192.0.2.50: has no such grant\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "mail.example.com", "joe"],
        ["add", "192.0.2.0/24", "joe"],
        ["add", "192.0.2.1", "jo\ne"],
        ["add", "192.0.2.1", ""],
        ["add", "--for", "soon", "192.0.2.1", "joe"],
        ["remove", "x"],
    ],
)
def test_a_slip_is_told_and_changes_nothing(folder: Path, table: GrantTable, arguments: list[str]) -> None:
    assert run(folder, *arguments).exit_code == 2
    assert table.grants() == []


def test_import_takes_popauthd_s_files(folder: Path, table: GrantTable) -> None:
    now = int(time.time())
    recent, old = now - 600, now - 90000
    (folder / "access.info").write_text(
        f"x\tjoe\t192.0.2.50\t{recent}\nx\told\t192.0.2.51\t{old}\nx\tbad\there\t{recent}\n"
        f"x\tfuture\t192.0.2.52\t{recent + 10**6}\n"
    )
    (folder / "access.static").write_text("192.168\tRELAY\n192.0.2.66\tREJECT\nexample.org\tRELAY\n")
    paths = [str(folder / "access.info"), str(folder / "access.static")]
    dry = run(folder, "import", "--dry-run", *paths)
    assert table.grants() == []
    result = run(folder, "import", *paths)
    # What is said of the future ends a lifetime from now, which is not the same second.
    assert [row[:2] + row[3:] for row in rows(result)] == [row[:2] + row[3:] for row in rows(dry)]
    assert result.exit_code == 1
    assert "access.info: line 3: not an IP address\nError: 1 of 7 could not be taken\n" in result.stderr
    assert [row[0::3] for row in rows(result)[:3]] == [
        ["192.0.2.50", "yes"],
        ["192.0.2.51", "no, its time is over"],
        ["192.0.2.52", "yes"],
    ]
    assert result.stdout.endswith(
        'For the configuration:\n\n[pop_before_smtp]\nstatic = ["192.168.0.0/16"]\ndeny = ["192.0.2.66"]\n'
        'relay_domains = ["example.org"]\n'
    )
    grants = {grant.address: grant for grant in table.grants()}
    assert set(grants) == {"192.0.2.50", "192.0.2.52"}
    assert grants["192.0.2.50"].until == recent + 1800
    assert grants["192.0.2.52"].until <= time.time() + 1800


def test_import_takes_uw_s_folder_and_poprelayd_s_files(folder: Path, table: GrantTable) -> None:
    popdata = folder / "popdata"
    popdata.mkdir()
    for name in ("192.0.2.50", "popauth"):
        (popdata / name).touch()
        os.utime(popdata / name, (time.time() - 60, time.time() - 60))
    (folder / "poprelay.conf").write_text('$timeout_minutes = 15;\n$logfile = "/var/log/maillog";\n')
    (folder / "localip").write_text("10.1 yes\n")
    result = run(folder, "import", *(str(folder / name) for name in ("popdata", "poprelay.conf", "localip")))
    assert result.stderr.splitlines()[0].endswith("popdata: popauth: not an IP address")
    assert [(grant.address, grant.user) for grant in table.grants()] == [("192.0.2.50", "unknown@example.com")]
    assert 'lifetime = "15m"\nlogs = ["/var/log/maillog"]\nstatic = ["10.1.0.0/16"]\n' in result.stdout


def test_what_was_imported_before_or_was_in_the_log_is_not_counted_again(folder: Path, table: GrantTable) -> None:
    now = int(time.time())
    (folder / "access.info").write_text(f"x\tjoe\t192.0.2.50\t{now - 60}\nx\tann\t192.0.2.51\t{now - 60}\n")
    login = Grant("192.0.2.50", "joe@example.com", "pop3", "qpopper", now - 60.0, now - 60.0, now + 1740.0)
    table.record([login])
    first, second = (run(folder, "import", str(folder / "access.info")) for _ in range(2))
    assert first.stdout == second.stdout
    assert [row[3] for row in rows(second)] == ["yes", "yes"]
    assert next(grant for grant in table.grants() if grant.address == "192.0.2.50") == login
    assert [each.logins for each in table.reliances()] == [1, 1]


def test_only_files_of_popdata_are_logins(folder: Path, table: GrantTable) -> None:
    popdata = folder / "popdata"
    (popdata / "192.0.2.51").mkdir(parents=True)
    (popdata / "192.0.2.52").symlink_to(folder / "nowhere")
    (popdata / "192.0.2.53").touch()
    result = run(folder, "import", str(popdata))
    assert result.exit_code == 1
    assert "popdata: 192.0.2.51: not a file\n" in result.stderr
    assert "popdata: 192.0.2.52: not a file\n" in result.stderr
    assert [grant.address for grant in table.grants()] == ["192.0.2.53"]


def test_a_user_s_name_ends_no_line_of_an_imported_file(folder: Path, table: GrantTable) -> None:
    now = int(time.time())
    name = f"joe\rx\tann\t192.0.2.66\t{now}\r"
    (folder / "access.info").write_bytes(f"x\t{name}\t192.0.2.50\t{now}\nx\tjoe\t192.0.2.51\t{now}\r\n".encode())
    assert run(folder, "import", str(folder / "access.info")).exit_code == 1
    assert [grant.address for grant in table.grants()] == ["192.0.2.51"]


def test_import_tells_what_prints_a_database(folder: Path) -> None:
    (folder / "popip.db").touch()
    result = run(folder, "import", str(folder / "popip.db"))
    assert result.exit_code == 2
    assert "popip.db: a database; `makemap -u hash popip`" in result.stderr


def test_import_tells_what_it_can_not_read(folder: Path) -> None:
    assert run(folder, "import", str(folder / "access.info")).exit_code == os.EX_DATAERR
    result = run(folder, "import", str(folder / "\x1b[31m/popip"))
    assert result.exit_code == os.EX_DATAERR
    assert "\x1b" not in result.stderr
    (folder / "passwd").touch()
    assert run(folder, "import", str(folder / "passwd")).exit_code == 2
    assert run(folder, "import").exit_code == 2


@pytest.mark.parametrize("arguments", [["list"], ["report"], ["report", "--format", "csv"]])
def test_a_name_that_the_terminal_can_not_show_is_escaped(
    folder: Path, table: GrantTable, arguments: list[str]
) -> None:
    assert run(folder, "add", "192.0.2.50", "jo\u0119").exit_code == 0
    command = [sys.executable, "-m", "submission", "pop", *arguments, "-c", str(folder / "submission.toml")]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    result = subprocess.run(command, capture_output=True, timeout=30, env=environment)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"jo\\u0119@example.com" in result.stdout


def test_report_says_who_still_needs_it(folder: Path, table: GrantTable) -> None:
    users = ("moved@example.com", "needs@example.com", "reads@example.com")
    table.record(
        Grant(f"192.0.2.{number}", user, "pop3", "dovecot", NOW, NOW - number, NOW + 86400)
        for number, user in enumerate(users)
    )
    table.note_message("moved@example.com")
    table.note_message("needs@example.com")
    asyncio.run(table.note_authentication("moved@example.com"))
    assert [row[:2] for row in rows(run(folder, "report"))] == [
        ["moved@example.com", "no, authenticates"],
        ["needs@example.com", "yes"],
        ["reads@example.com", "no, never sent by it"],
    ]
    listed = list(csv.DictReader(io.StringIO(run(folder, "report", "--format", "csv").stdout)))
    read = json.loads(run(folder, "report", "--format", "json").stdout)
    assert [entry["user"] for entry in listed] == [entry["user"] for entry in read] == list(users)
    assert [entry["messages"] for entry in read] == [1, 1, 0]
    assert float(listed[0]["authenticated"]) > 0
