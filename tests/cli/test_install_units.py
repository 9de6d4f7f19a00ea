import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from submission.cli.main import commands

COMMAND = Path("/usr/bin/env")
"""Any that there is, in a folder that services see."""


def install(*arguments: str, command: Path = COMMAND) -> Result:
    result = CliRunner().invoke(commands, ["install-units", "--executable", str(command), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_units_start_the_command_that_they_were_installed_by(tmp_path: Path) -> None:
    result = install("--prefix", str(tmp_path))
    assert result.exit_code == 0, result.output
    folder = tmp_path / "lib/systemd/system"
    assert {file.name for file in folder.iterdir()} == {"submission.service", "submission.socket", "submissions.socket"}
    unit = (folder / "submission.service").read_text()
    assert f"\nExecStart={COMMAND} serve\n" in unit
    assert f"\nExecReload={COMMAND} reload\n" in unit
    assert all(f"wrote {file}\n" in result.output for file in folder.iterdir())
    assert "systemctl enable --now submission.service" in result.output
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}


def test_a_new_version_replaces_them(tmp_path: Path) -> None:
    install("--prefix", str(tmp_path))
    unit = tmp_path / "lib/systemd/system/submission.service"
    text = unit.read_text()
    unit.write_text("an old one")
    assert install("--prefix", str(tmp_path)).exit_code == 0
    assert unit.read_text() == text


def test_a_dry_run_shows_them_and_writes_nothing(tmp_path: Path) -> None:
    result = install("--prefix", str(tmp_path), "--dry-run")
    assert f"# {tmp_path}/lib/systemd/system/submission.service\n" in result.output
    assert f"\nExecStart={COMMAND} serve\n" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_link", [False, True])
def test_a_command_that_the_service_is_kept_from_is_refused(tmp_path: Path, *, is_link: bool) -> None:
    command = tmp_path / "submission"  # in /tmp, as pytest's folders are
    if is_link:
        command.symlink_to(COMMAND)
    else:
        command.touch(mode=0o755)
    result = install("--dry-run", command=command)
    assert result.exit_code == os.EX_UNAVAILABLE
    assert "the service is kept from /tmp" in result.output


@pytest.mark.parametrize("command", ["/nonexistent/submission", "/usr/bin/with blank", "/usr/bin/%n", "/etc/passwd"])
def test_what_systemd_could_not_start_is_refused(command: str, tmp_path: Path) -> None:
    result = install("--prefix", str(tmp_path), command=Path(command))
    assert (result.exit_code, list(tmp_path.iterdir())) == (os.EX_UNAVAILABLE, [])


def test_a_folder_that_can_not_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "lib").touch()
    result = install("--prefix", str(tmp_path))
    assert result.exit_code == os.EX_CANTCREAT
    assert str(tmp_path / "lib/systemd") in result.output
