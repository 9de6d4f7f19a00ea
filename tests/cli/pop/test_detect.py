"""submission pop detect."""

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands
from tests.support.poplog import FOLDER, all_sessions, sessions

LINES = [line for session in all_sessions() for line in session]
LOG = b"".join(line.text + b"\n" for line in LINES)


def run(*files: Path) -> Result:
    return CliRunner().invoke(commands, ["pop", "detect", *map(str, files)])


def log_of(*names: str) -> bytes:
    return b"".join(
        line.text + b"\n" for name in names for session in sessions(FOLDER / f"{name}.txt") for line in session
    )


def count(name: str) -> int:
    return sum(line.is_login for session in sessions(FOLDER / f"{name}.txt") for line in session)


def test_one_format(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(log_of("teapop", "others"))
    result = run(tmp_path / "mail.log")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"teapop\t{count('teapop')}", 'formats = ["teapop"]']
    assert result.stderr == ""


def test_several_files_one_of_them_packed(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(log_of("teapop"))
    (tmp_path / "mail.log.1.gz").write_bytes(gzip.compress(log_of("dovecot") * 3))
    result = run(tmp_path / "mail.log", tmp_path / "mail.log.1.gz")
    assert result.stdout.splitlines() == [
        f"dovecot\t{3 * count('dovecot')}",
        f"teapop\t{count('teapop')}",
        'formats = ["dovecot", "teapop"]',
    ]
    assert "warning: every further format widens what can be forged" in result.stderr


def test_what_an_admin_should_know(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(log_of("nginx"))
    assert "warning: nginx: counts by way of syslog only" in run(tmp_path / "mail.log").stderr


@pytest.mark.parametrize("data", [b"", b"rubbish\n", log_of("others")])
def test_no_logins(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "mail.log").write_bytes(data)
    result = run(tmp_path / "mail.log")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no logins found" in result.stderr


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = run(tmp_path / "mail.log")
    assert missing.exit_code == 1
    assert f"{tmp_path}/mail.log: No such file or directory" in missing.stderr
    for data in (gzip.compress(LOG)[:-20], b"\x1f\x8bnonsense", gzip.compress(LOG)[:-2000] + b"x" * 2000):
        (tmp_path / "mail.log.gz").write_bytes(data)
        damaged = run(tmp_path / "mail.log.gz")
        assert damaged.exit_code == 1
        assert "mail.log.gz: is damaged" in damaged.stderr


def test_own_patterns(tmp_path: Path) -> None:
    file = tmp_path / "submission.toml"
    sample = "Nov 21 02:59:00 mail popd[12]: login of joe from 192.0.2.50"
    file.write_text(
        f"""
        [[listen]]
        address = "127.0.0.1:587"
        tls = "none"
        [[pop_before_smtp.pattern]]
        name = "popd"
        regex = "popd: login of (?P<user>.+) from (?P<ip>[^ ]+)"
        samples = ["{sample}"]
        """
    )
    (tmp_path / "mail.log").write_bytes(sample.encode() + b"\n" + log_of("teapop"))
    told = CliRunner().invoke(commands, ["pop", "detect", "-c", str(file), str(tmp_path / "mail.log")])
    assert told.stdout.splitlines()[1:] == ["popd\t1", 'formats = ["teapop"]']


def test_the_proposal_is_what_the_configuration_takes(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(LOG)
    proposal = run(tmp_path / "mail.log").stdout.splitlines()[-1]
    file = tmp_path / "submission.toml"
    file.write_text(f'[[listen]]\naddress = "127.0.0.1:587"\ntls = "none"\n[pop_before_smtp]\n{proposal}\n')
    told = CliRunner().invoke(commands, ["check", "-c", str(file)])
    assert proposal in told.stdout
