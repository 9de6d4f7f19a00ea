"""Files as the doctor adds to what check says of them; test_doctor.py breaks them one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from submission.cli.doctor import files
from submission.cli.doctor.files import ACCOUNTS, KEY, ROOM, try_files
from submission.config import load
from tests.cli.doctor.conftest import IS_ROOT, Installation
from tests.support.server import Server, public_folder


def rows(installation: Installation) -> dict[str, tuple[str, str]]:
    return {each.tried: (each.outcome.value, each.text) for each in try_files(installation.settings())}


def test_a_whole_installation(installation: Installation) -> None:
    found = rows(installation)
    assert {outcome for outcome, _ in found.values()} == {"ok"}
    assert list(found) == [
        "user", "state_dir", "store.url", "store.key_file", "tls.certificate", "tls.key", ACCOUNTS, KEY, ROOM,
    ]  # fmt: skip
    assert found[ACCOUNTS][1] == f"1 in {installation.folder}/state/users.db"
    assert found[KEY][1] == "opens 1 sealed passwords"


def test_nothing_is_made_that_was_not_there() -> None:
    with public_folder() as folder:
        server = Server(folder, "127.0.0.1:9")
        outcomes = {each.tried: each.outcome.value for each in try_files(load(server.configuration))}
        assert list((folder / "state").iterdir()) == []
    assert outcomes[ACCOUNTS] == "FAILED"
    assert KEY not in outcomes


def test_little_room(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LITTLE_ROOM", 1 << 60)
    outcome, text = rows(installation)[ROOM]
    assert (outcome, text[:5]) == ("warning", "only ")


@contextmanager
def another_user() -> Iterator[None]:
    os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
def test_who_may_not_look_does_not_judge(installation: Installation) -> None:
    settings = installation.settings()
    with another_user():
        (verdict,) = try_files(settings)
    assert (verdict.outcome.value, verdict.text) == (
        "not tried",
        f"run it as root or as the owner of {installation.folder}/state",
    )


def test_a_folder_that_is_not_there(installation: Installation) -> None:
    settings = installation.settings().model_copy(update={"state_dir": Path("/nonexistent")})
    failed = [each.tried for each in try_files(settings) if each.outcome.value != "ok"]
    assert failed == (["state_dir"] if IS_ROOT else ["modes, store and key"])
