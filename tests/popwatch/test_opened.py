import gzip
import json
import os
from pathlib import Path

import pytest

from submission.popwatch.opened import MAX_LINE, PRINT, UNREADABLE, Mark, OpenFile, Print


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def test_a_print_is_of_what_begins_with_its_octets() -> None:
    assert Print.of(b"ab").begins(b"abc")
    assert not Print.of(b"ab").begins(b"a")
    assert not Print.of(b"ab").begins(b"ba")
    assert Print.of(b"").length == 0


def test_a_mark_survives_json(path: Path) -> None:
    path.write_bytes(b"one\ntwo\nhalf")
    file = OpenFile(path, leaves_rest=True)
    assert file.lines() == [b"one", b"two"]
    mark = Mark.decode(json.loads(json.dumps(file.mark.encode())))
    assert mark == file.mark
    assert (mark.offset, mark.head, mark.leaves_rest) == (8, Print.of(b"one\ntwo\nhalf"), True)
    file.close()


@pytest.mark.parametrize(
    "value", [None, [], [1] * 7, [1, 2, 3, [4], 5, [6, "7"], False], [1, 2, 3, "4", 5, "6", False]]
)
def test_what_is_no_mark(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Mark.decode(value)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_place_is_taken_up_in_the_file_that_it_is_of(path: Path, suffix: str) -> None:
    path.write_bytes(b"one\n" * PRINT)
    file = OpenFile(path)
    file.lines()
    mark = file.mark
    file.close()
    copy, other = path.with_name(f"copy{suffix}"), path.with_name(f"other{suffix}")
    write = gzip.compress if suffix else bytes
    copy.write_bytes(write(b"one\n" * PRINT + b"two\n"))
    other.write_bytes(write(b"one\n" * (PRINT - 1) + b"six\n" + b"two\n"))
    file = OpenFile(copy)
    assert file.go_on(mark)
    assert file.lines() == [b"two"]
    file.close()
    file = OpenFile(other)
    assert not file.go_on(mark)
    file.close()


def test_a_place_within_an_endless_line_goes_on_behind_it(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_LINE + 1))
    file = OpenFile(path)
    assert file.lines() == []
    mark = file.mark
    file.close()
    with path.open("ab") as writer:
        writer.write(b"its end\nnext\n")
    file = OpenFile(path)
    assert file.go_on(mark)
    assert file.lines() == [b"next"]
    file.close()


def test_half_a_line_tears_it_until_the_other_half_is_there(path: Path) -> None:
    path.write_bytes(b"one\nha")
    file = OpenFile(path)
    assert file.lines() == [b"one"]
    assert file.is_torn
    with path.open("ab") as writer:
        writer.write(b"lf\n")
    assert not file.is_cut_off()
    assert file.lines() == [b"half"]
    assert not file.is_torn
    file.close()


@pytest.mark.parametrize("content", [b"one\nha", b"ha"])
@pytest.mark.parametrize("later", [b"", b"o", b"other lines\nlonger than that\n"])
def test_what_was_cut_off_is_seen_by_what_is_there_now(path: Path, content: bytes, later: bytes) -> None:
    path.write_bytes(content)
    file = OpenFile(path)
    file.lines()
    assert not file.is_cut_off()
    os.truncate(path, 0)
    path.write_bytes(later)
    assert file.is_cut_off()
    file.begin_anew(is_rest=True)
    with path.open("ab") as writer:
        writer.write(b" rest\nnext\n")
    assert file.lines()[-1] == b"next"
    file.close()


def test_a_first_line_after_a_torn_one_is_left_out_and_no_other(path: Path) -> None:
    path.write_bytes(b"rest\none\n")
    file = OpenFile(path)
    assert file.lines(is_after_torn=True) == [b"one"]
    with path.open("ab") as writer:
        writer.write(b"two\n")
    assert file.lines(is_after_torn=True) == [b"two"]
    file.close()


def test_what_is_not_whole_raises_as_it_is_said_to(path: Path) -> None:
    broken = path.with_name("mail.log.1.gz")
    broken.write_bytes(gzip.compress(os.urandom(9999))[:-99])
    file = OpenFile(broken)
    with pytest.raises(UNREADABLE):
        file.lines()
    file.close()
