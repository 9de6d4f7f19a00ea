"""No file of sendmail's keeps a grant that it should not have: for as long as the service is in charge, and after."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from submission.config.pop import Sendmail
from submission.service.maps import NAME, Maps
from tests.service.test_reload import reload
from tests.support.granting import JOE, pop
from tests.support.network import wait_until
from tests.support.server import Server, public_folder
from tests.support.sink import Sink

USERS = {"192.0.2.50": "joe@example.com"}
LINE = "192.0.2.50|joe@example.com\n"


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return tmp_path / "one"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return tmp_path / "two"


def text(path: Path) -> Sendmail:
    return Sendmail(text_map=path)


def test_a_file_that_is_no_longer_named_is_emptied(one: Path, two: Path, tmp_path: Path) -> None:
    assert Maps(text(one), tmp_path).write(USERS)
    assert not Maps(text(one), tmp_path).are_left
    assert Maps(Sendmail(), tmp_path).are_left
    assert Maps(text(two), tmp_path).write(USERS)
    assert (one.read_text(), two.read_text()) == ("", LINE)
    assert Maps(Sendmail(), tmp_path).write({})
    assert two.read_text() == ""
    assert not Maps(Sendmail(), tmp_path).are_left


def test_one_that_cannot_be_emptied_is_not_forgotten(
    one: Path, two: Path, tmp_path: Path, logged: Callable[[], list[dict[str, object]]]
) -> None:
    assert Maps(text(one), tmp_path).write(USERS)
    one.unlink()
    one.mkdir()
    assert not Maps(text(two), tmp_path).write(USERS)
    assert two.read_text() == LINE  # in spite of that
    assert Maps(text(two), tmp_path).are_left
    assert [line["event"] for line in logged()] == ["map-failed"]
    one.rmdir()
    assert Maps(text(two), tmp_path).write(USERS)
    assert not Maps(text(two), tmp_path).are_left


@pytest.mark.parametrize("content", ["", "{", "[1]", "[[1]]", "[" * 60000])
def test_a_list_that_makes_no_sense_is_begun_anew(one: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    assert Maps(text(one), tmp_path).write(USERS)
    assert one.read_text() == LINE


def test_what_is_written_last_is_what_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that stops while makemap is busy takes out what that has put in."""
    (tmp_path / "bin").mkdir()
    begun, program = tmp_path / "begun", tmp_path / "bin" / "makemap"
    program.write_text(f'#!/bin/sh\ncat >"$2.db"\ntest -e {begun} || {{ >{begun}; sleep 0.5; }}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    maps = Maps(Sendmail(access_map=tmp_path / "access"), tmp_path)
    writing = threading.Thread(target=maps.write, args=(USERS,))
    writing.start()
    wait_until(begun.exists)
    maps.write({})
    writing.join()
    assert "192.0.2.50" not in (tmp_path / "access").read_text()
    assert "192.0.2.50" not in (tmp_path / "access.db").read_text()


@pytest.fixture
def server(sink: Sink) -> Iterator[Server]:
    with public_folder() as folder:
        settings = {"workers": 1, "metrics": {"address": ""}, "pop_before_smtp": {"enabled": True, "logs": []}}
        server = Server(folder, sink.address, settings)
        server.configure({"pop_before_smtp": {"sendmail": {"text_map": "first"}}})
        with server:
            yield server


def test_a_reload_leaves_no_grant_in_a_file_that_is_no_longer_kept(server: Server) -> None:
    first, second = server.folder / "first", server.folder / "second"
    pop(server, "add", JOE, "joe")
    wait_until(lambda: first.exists() and JOE in first.read_text())
    server.configure({"pop_before_smtp": {"sendmail": {"text_map": "second"}}})
    assert reload(server).exit_code == 0
    wait_until(lambda: second.exists() and JOE in second.read_text() and not first.read_text())
    server.configure({"pop_before_smtp": {"enabled": False}})
    assert reload(server).exit_code == 0
    wait_until(lambda: not second.read_text())
