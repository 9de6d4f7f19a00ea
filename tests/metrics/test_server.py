from __future__ import annotations

from pathlib import Path

import pytest

from submission import logs
from submission.config.settings import Metrics
from submission.metrics.server import TokenError, open_access, read_token
from tests.support.monitored import occupied


def test_a_port_that_is_taken_is_told_and_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logs, "warning", lambda name, **fields: told.append(f"{name} {fields['reason']}"))
    with occupied() as sock:
        port = sock.getsockname()[1]
        assert open_access(Metrics(address=f"127.0.0.1:{port}")) is None
    assert told == [f"metrics-unavailable 127.0.0.1:{port}: Address already in use"]


def test_without_an_address_there_is_no_port() -> None:
    assert open_access(Metrics(address="")) is None


@pytest.mark.parametrize("text", ["0123456789abcdef", "0123456789abcdef\n", "x" * 1024 + "\n"])
def test_a_token_is_what_is_in_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    assert read_token(tmp_path / "token") == text.strip()


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "0123456789 abcdef", "0123456789abcdef\nmore", "x" * 1025, "ä" * 20]
)
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(TokenError, match="must hold 16 visible ASCII characters or more"):
        read_token(tmp_path / "token")
    with pytest.raises(TokenError, match="No such file"):
        read_token(tmp_path / "none")
