from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from click.testing import CliRunner, Result

from submission.cli.main import commands
from submission.core.grants import Grant
from tests.support.monitored import Monitored, monitored
from tests.support.network import free_port
from tests.support.sink import Sink
from tests.support.terminal import INTERRUPT, Terminal

TOKEN = "0123456789abcdef0123"


def configuration(folder: Path, metrics: str) -> Path:
    file = folder / "submission.toml"
    file.write_text(f'[[listen]]\naddress = "127.0.0.1:587"\ntls = "none"\n[metrics]\n{metrics}\n')
    return file


async def run(folder: Path, metrics: str) -> Result:
    arguments = ["status", "--once", "-c", str(configuration(folder, metrics))]
    result = await asyncio.to_thread(CliRunner().invoke, commands, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


async def fill(subject: Monitored) -> None:
    now = time.time()
    subject.grants.record([Grant("192.0.2.7", "al\x1b[31mice@example.com", "pop3", "dovecot", now, now, now + 1800)])
    await subject.penalties.fail("203.0.113.9", "alice", "guess")
    subject.counting[0]("message", {"via": "auth", "result": "ok", "size": 100, "relay_seconds": 0.25})


async def test_for_programs_it_is_lines_with_tabs(tmp_path: Path) -> None:
    with Sink() as sink:
        async with monitored(tmp_path, f"127.0.0.1:{sink.port}") as subject:
            await fill(subject)
            result = await run(tmp_path, f'address = "127.0.0.1:{subject.port}"')
    assert result.exit_code == 0
    rows = [tuple(line.split("\t")) for line in result.output.splitlines()]
    assert ("health", "store", "ok") in rows
    assert ("sessions", "now", "0") in rows
    assert ("messages", "last hour", "1") in rows
    assert ("messages", "last day", "1") in rows
    assert ("failed logins", "203.0.113.9", "1") in rows
    assert [row[:2] for row in rows if row[0] == "grant"] == [("grant", "192.0.2.7 al\\x1b[31mice@example.com")]
    assert [row[0] for row in rows].count("certificate") == 1


async def test_it_exits_with_1_where_something_is_wrong_and_shows_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    async with monitored(tmp_path, f"127.0.0.1:{free_port()}", {"token_file": str(tmp_path / "token")}) as subject:
        address = f'address = "127.0.0.1:{subject.port}"\n'
        result = await run(tmp_path, address + 'token_file = "token"')
        assert (result.exit_code, result.output.startswith("health\trelay\tSMTPConnectError")) == (1, True)
        refused = await run(tmp_path, address)
        assert (refused.exit_code, refused.output) == (69, f"Error: 127.0.0.1:{subject.port} answers 401\n")


async def test_it_says_why_nobody_tells_anything(tmp_path: Path) -> None:
    port = free_port()
    result = await run(tmp_path, f'address = "127.0.0.1:{port}"')
    assert (result.exit_code, result.output) == (69, f"Error: 127.0.0.1:{port}: [Errno 111] Connection refused\n")
    result = await run(tmp_path, 'address = ""')
    assert (result.exit_code, 'metrics.address is ""' in result.output) == (69, True)


async def test_on_a_terminal_it_goes_on_until_ctrl_c(tmp_path: Path) -> None:
    async with monitored(tmp_path, f"127.0.0.1:{free_port()}") as subject:
        await fill(subject)
        file = configuration(tmp_path, f'address = "127.0.0.1:{subject.port}"')

        def watch() -> tuple[str, int]:
            command = (
                "env",
                "TERM=xterm",
                "COLUMNS=120",
                sys.executable,
                "-m",
                "submission",
                "status",
                "-c",
                str(file),
            )
            with Terminal(*command) as terminal:
                terminal.see("days left")
                terminal.type(INTERRUPT)
                return terminal.screen, terminal.finish()

        screen, exit_code = await asyncio.to_thread(watch)
    assert exit_code == 0
    assert "203.0.113.9" in screen
    assert "al\\x1b[31mice@example.com" in screen
