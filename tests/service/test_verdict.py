"""What the file says is believed only of the process that wrote it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from submission.service import verdict
from submission.service.verdict import NAME, Verdict


def change(folder: Path, **fields: object) -> None:
    (folder / NAME).write_text(json.dumps(json.loads((folder / NAME).read_text()) | fields))


def test_it_says_what_was_written_last(tmp_path: Path) -> None:
    verdict.write(tmp_path, 1, os.EX_OK, "")
    verdict.write(tmp_path, 2, os.EX_CONFIG, "x = 1: is unknown\ny: is missing")
    said = verdict.read(tmp_path)
    assert said
    assert replace(said, started=0) == Verdict(os.getpid(), 0, 2, os.EX_CONFIG, "x = 1: is unknown\ny: is missing")
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]
    verdict.remove(tmp_path)
    assert verdict.read(tmp_path) is None
    verdict.remove(tmp_path)


def test_a_process_that_ended_says_nothing(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from submission.service import verdict\n"
    script += "verdict.write(Path(sys.argv[1]), 1, 0, ''); print('written', flush=True); input()"
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        said = verdict.read(tmp_path)
        assert said
        assert said.pid == process.pid
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and nobody has asked for it yet
        assert verdict.read(tmp_path) is None
    assert verdict.read(tmp_path) is None


def test_another_process_of_that_number_says_nothing(tmp_path: Path) -> None:
    verdict.write(tmp_path, 1, 0, "")
    said = verdict.read(tmp_path)
    assert said
    change(tmp_path, started=said.started + 1)
    assert verdict.read(tmp_path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others")
def test_a_process_of_another_user_is_none_of_the_file_s(tmp_path: Path) -> None:
    """Else whoever took the service over could have root send signals to anybody."""
    verdict.write(tmp_path, 1, 0, "")
    os.chown(tmp_path / NAME, 65534, 65534)
    assert verdict.read(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"pid": 1}',
        '{"pid": "../1", "started": 1, "begun": 1, "code": 0, "text": ""}',
        '{"pid": -1, "started": 1, "begun": 1, "code": 0, "text": ""}',
        '{"pid": 1, "started": 1, "begun": 1, "code": 0, "text": "", "more": 1}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_what_nobody_wrote_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content, errors="surrogateescape")
    assert verdict.read(tmp_path) is None


@pytest.mark.parametrize("fields", [{"pid": True}, {"code": "78"}, {"text": 3}, {"begun": 1.5}, {"started": None}])
def test_fields_of_another_kind_are_none(tmp_path: Path, fields: dict[str, object]) -> None:
    verdict.write(tmp_path, 1, 0, "")
    change(tmp_path, **fields)
    assert verdict.read(tmp_path) is None


def test_a_file_that_is_none_says_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    assert verdict.read(tmp_path) is None
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).symlink_to(tmp_path / "other")
    assert verdict.read(tmp_path) is None
    verdict.write(tmp_path, 1, 0, "")  # which takes the link's place
    assert not (tmp_path / NAME).is_symlink()
    assert not (tmp_path / "other").exists()
