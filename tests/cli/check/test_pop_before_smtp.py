"""What `submission check` says of POP before SMTP, for a user who gets at nothing by himself."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.cli.check import pop_before_smtp
from submission.cli.check.findings import Finding
from submission.cli.check.pop_before_smtp import examine_pop_before_smtp
from submission.config.pop import PopBeforeSmtp
from tests.support.server import public_folder

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


def findings(**settings: object) -> dict[str, Finding]:
    pop = PopBeforeSmtp.model_validate({"enabled": True, "formats": ["dovecot"], "logs": [], **settings})
    return {finding.key.removeprefix("pop_before_smtp."): finding for finding in examine_pop_before_smtp(pop, NOBODY)}


def test_what_is_right_has_none_and_what_is_off_is_not_looked_at(folder: Path) -> None:
    (folder / "mail.log").touch()
    assert findings(logs=[f"{folder}/*.log"]) == {}
    assert findings(logs=["/nowhere/mail.log"], enabled=False) == {}


def test_no_server_is_named(folder: Path) -> None:
    (folder / "mail.log").touch()
    finding = findings(logs=[f"{folder}/mail.log"], formats=[])["formats"]
    assert finding.is_warning
    assert "submission pop detect" in finding.text


@pytest.mark.parametrize("name", ["mail.log", "*.log"])
def test_a_log_that_is_not_there_may_come(folder: Path, name: str) -> None:
    finding = findings(logs=[f"{folder}/{name}"])["logs[0]"]
    assert finding.is_warning
    assert finding.text == f'"{folder}/{name}" is not there yet'


@pytest.mark.skipif(os.geteuid() != 0, reason="asks what another user may")
def test_a_log_that_the_service_may_not_read(folder: Path) -> None:
    log = folder / "mail.log"
    log.touch(0o640)
    finding = findings(logs=[str(log)])["logs[0]"]
    assert not finding.is_warning
    assert finding.text.startswith(f'"{log}" cannot be read by nobody, must be readable')


def test_the_journal_needs_journalctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop_before_smtp.shutil, "which", lambda _: None)
    assert "needs journalctl" in findings(logs=["journal"])["logs[0]"].text


@pytest.mark.skipif(os.geteuid() != 0, reason="asks what another user may")
def test_what_the_service_makes_needs_a_folder_of_its_own(folder: Path) -> None:
    found = findings(
        logs=[f"syslog:{folder}/log", "syslog:127.0.0.1:5514"],
        sendmail={"socketmap": f"{folder}/none/popip", "text_map": f"{folder}/popip", "access_map": "/nowhere/access"},
    )
    assert set(found) == {"logs[0]", "sendmail.socketmap", "sendmail.text_map", "sendmail.access_map"}
    assert "cannot be written to" in found["logs[0]"].text
    assert "No such file or directory, must be a folder" in found["sendmail.socketmap"].text
    assert "cannot be written to" in found["sendmail.text_map"].text
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    assert findings(logs=[f"syslog:{folder}/log"], sendmail={"text_map": f"{folder}/popip"}) == {}


@pytest.mark.parametrize("key", ["socketmap", "text_map"])
def test_the_folder_that_the_unit_makes_may_come(folder: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop_before_smtp, "RUNTIME", folder / "run")
    finding = findings(sendmail={key: f"{folder}/run/popip"})[f"sendmail.{key}"]
    assert finding.is_warning
    assert finding.text.startswith(f'"{folder}/run" is not there yet')


def test_an_access_file_needs_makemap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    monkeypatch.setattr(pop_before_smtp, "find_makemap", lambda: None)
    assert "makemap" in findings(sendmail={"access_map": f"{folder}/access"})["sendmail.access_map"].text
