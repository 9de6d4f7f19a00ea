"""What can be told of the command without atheris."""

from __future__ import annotations

import pytest

from fuzz.__main__ import main
from fuzz.targets import NAMES


@pytest.mark.parametrize("words", [[], ["session"], ["session", "long"], ["nothing", "10"], ["session", "10", "x"]])
def test_what_is_no_target_and_a_time_is_told_how_it_goes(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", *words])
    assert main() == 2
    told = capsys.readouterr().err
    assert all(name in told for name in NAMES)
