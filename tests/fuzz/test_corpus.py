"""Inputs are kept in a form that can be read in a diff."""

from pathlib import Path

import pytest

from fuzz import corpus


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    return tmp_path


def test_what_is_kept_is_read_the_shortest_first(folder: Path) -> None:
    corpus.write("x", [b"\0\xff\r\n'\"", b"", b"abc", b"abc"])
    assert corpus.read("x") == [b"", b"abc", b"\0\xff\r\n'\""]
    assert (folder / "x.txt").read_text() == "b''\nb'abc'\nb'\\x00\\xff\\r\\n\\'\"'\n"


def test_without_a_file_there_is_nothing() -> None:
    assert corpus.read("x") == []


def test_the_longest_have_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_FILE", 12)
    corpus.write("x", [b"abcdef", b"a", b"b"])
    assert corpus.read("x") == [b"a", b"b"]
