"""What `pip install` gives: the wheel, installed into an environment of its own beside the libraries of this one."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = {
    "share/man/man1/submission-passwd.1",
    "share/man/man1/submission.1",
    "share/man/man5/submission.toml.5",
    "share/submission/fail2ban/jail.conf",
    "share/submission/fail2ban/submission.conf",
    "share/submission/sendmail/popip.m4",
    "share/submission/systemd/submission.service",
    "share/submission/systemd/submission.socket",
    "share/submission/systemd/submissions.socket",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=50)
    (file,) = folder.glob("*.whl")
    return file


def test_it_holds_the_package_and_what_belongs_beside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {name for name in names if name.startswith("submission/")}
    files = [file for file in (ROOT / "submission").rglob("*") if file.is_file() and file.suffix != ".pyc"]
    assert package == {str(file.relative_to(ROOT)) for file in files}
    data = {name.partition(".data/data/")[2] for name in names if ".data/" in name}
    assert data == DATA
    rest = {name.rpartition("/")[2] for name in names if ".dist-info/" in name}
    assert rest == {"METADATA", "RECORD", "WHEEL", "LICENSE", "entry_points.txt"}


def test_the_units_can_be_installed_from_it(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--python", str(tmp_path / "venv"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, timeout=50)
    submission = tmp_path / "venv/bin/submission"
    result = run(submission, "install-units", "--executable", "/usr/bin/env", "--dry-run")
    assert (result.returncode, result.stderr) == (0, "")
    assert "ExecStart=/usr/bin/env serve\n" in result.stdout
    own = run(submission, "install-units", "--dry-run")  # refused, if tests are run in a folder hidden from services
    assert str(submission) in own.stdout + own.stderr


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """A command beside the libraries of this environment."""
    environment = {"PYTHONPATH": sysconfig.get_path("purelib")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)
