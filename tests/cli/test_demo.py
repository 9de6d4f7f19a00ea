"""`submission demo`, run as a newcomer runs it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from submission.core.sasl.registry import USUAL

COMMAND = [sys.executable, "-m", "submission", "demo"]


def _left_behind() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("submission-demo-*")}


def test_once_sends_a_message_by_each_mechanism_and_leaves_nothing() -> None:
    before = _left_behind()
    run = subprocess.run([*COMMAND, "--once"], capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = [line for line in run.stdout.splitlines() if "yes" in line]
    assert [row.split()[1] for row in rows] == list(USUAL)
    assert "Password" in run.stdout
    assert _left_behind() <= before


def test_goes_on_serving_until_it_is_interrupted() -> None:
    before = _left_behind()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert any("Serving until" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) == 0
    assert _left_behind() <= before
