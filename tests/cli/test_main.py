import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from submission.cli.main import commands
from submission.cli.options import configuration


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command, in a process of its own."""
    environment = {**os.environ, **environment}
    command = [sys.executable, "-m", "submission", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)


def test_version() -> None:
    result = run("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"submission, version \d+\.\d+\.\d+\n", result.stdout)


def test_help_lists_the_commands() -> None:
    for option in ("-h", "--help"):
        result = CliRunner().invoke(commands, [option])
        assert result.exit_code == 0
        assert re.search(r"^  check ", result.output, re.MULTILINE)


@pytest.mark.parametrize("arguments", [["nonsense"], ["check", "--nonsense"], ["check", "superfluous"]])
def test_usage_errors(arguments: list[str]) -> None:
    assert CliRunner().invoke(commands, arguments).exit_code == 2


def test_a_faulty_configuration_is_told_in_lines_and_not_in_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "submission.toml"
    file.write_text("workers = 0.5\nlisten = 1\n")
    result = run("check", "-c", str(file))
    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr == f"{file}:workers: 0.5 must be a whole number\n{file}:listen: 1 must be an array\n"


def test_the_environment_names_the_file_and_an_option_overrules_it(tmp_path: Path) -> None:
    first, second = str(tmp_path / "first.toml"), str(tmp_path / "second.toml")
    assert run("check", SUBMISSION_CONFIG=first).stderr == f"{first}: No such file or directory\n"
    assert run("check", "-c", second, SUBMISSION_CONFIG=first).stderr == f"{second}: No such file or directory\n"


def test_the_option_gives_the_path_as_it_was_written() -> None:
    @click.command()
    @configuration
    def show(file: Path) -> None:
        click.echo(repr(file))

    assert CliRunner().invoke(show, ["-c", "here/x.toml"]).output == f"{Path('here/x.toml')!r}\n"
    assert CliRunner(env={"SUBMISSION_CONFIG": "/y"}).invoke(show).output == f"{Path('/y')!r}\n"
    missing = CliRunner(env={"SUBMISSION_CONFIG": None}).invoke(show).output
    assert missing == f"{Path('/etc/submission/submission.toml')!r}\n"
