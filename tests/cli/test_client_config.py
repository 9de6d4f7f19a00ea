import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands

CONFIGURATION = """
hostname = "mail.example.com"
[[listen]]
address = "0.0.0.0:587"
[tls]
certificate = "x"
key = "x"
[auth]
realm = "example.com"
mechanisms = ["CRAM-MD5"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "submission.toml").write_text(CONFIGURATION)
    return tmp_path / "submission.toml"


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(commands, ["client-config", "-c", str(file), *arguments])


def test_it_is_for_people_unless_told(file: Path) -> None:
    result = run(file)
    assert result.exit_code == 0
    assert "mail.example.com, port 587, STARTTLS\n" in result.stdout
    assert "mail.example.com, port 993, SSL/TLS\n" in result.stdout


def test_a_realm_a_format_and_a_server_to_read_from(file: Path) -> None:
    result = run(file, "--realm", "example.org", "--format", "dns", "--incoming", "pop3s://pop.example.org")
    assert "_submission._tcp.example.org. IN SRV 0 1 587 mail.example.com.\n" in result.stdout
    assert "_pop3s._tcp.example.org. IN SRV 0 1 995 pop.example.org.\n" in result.stdout


@pytest.mark.parametrize("arguments", [["--incoming", "pop.example.org"], ["--format", "yaml"]])
def test_usage_errors(file: Path, arguments: list[str]) -> None:
    assert run(file, *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "text"), [(["--format", "autodiscover"], "PLAIN and LOGIN"), (["--realm", "a b"], "not a domain")]
)
def test_what_can_not_be_said_ends_with_78(file: Path, arguments: list[str], text: str) -> None:
    result = run(file, *arguments)
    assert (result.exit_code, result.stdout) == (os.EX_CONFIG, "")
    assert text in result.stderr
