"""Log files through every kind of rotation: each line once, in the end by a process that is killed again and again."""

import bz2
import gzip
import itertools
import json
import lzma
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from submission.popwatch import opened
from submission.popwatch.files import LogFile, expand


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def drain(log: LogFile) -> list[str]:
    lines: list[bytes] = []
    while (batch := log.read()) is not None:
        lines += batch.lines  # type: ignore[arg-type]
    return [line.decode() for line in lines]


def read_all(path: Path, position: str) -> list[str]:
    log = LogFile(path, position)
    lines = drain(log)
    log.close()
    return lines


def position_of(log: LogFile) -> str:
    return log._position()


def rename(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.1"))
    path.touch()


def copy_and_cut_off(path: Path) -> None:
    shutil.copy(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)


def compress(opener: Callable[[Path, str], object], suffix: str) -> Callable[[Path], None]:
    def rotate(path: Path) -> None:
        rename(path)
        old = path.with_name(f"{path.name}.1")
        new = old.with_name(old.name + suffix)
        with opener(new, "wb") as file:  # type: ignore[attr-defined]
            file.write(old.read_bytes())
        shutil.copystat(old, new)
        old.unlink()

    return rotate


ROTATIONS = {
    "rename": rename,
    "copytruncate": copy_and_cut_off,
    "gzip": compress(gzip.open, ".gz"),
    "xz": compress(lzma.open, ".xz"),
    "bzip2": compress(bz2.open, ".bz2"),
}


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_nothing_is_lost_or_seen_twice_while_it_runs(path: Path, rotation: str) -> None:
    append(path, "one", "two")
    log = LogFile(path)
    assert drain(log) == ["one", "two"]
    append(path, "three")
    ROTATIONS[rotation](path)
    append(path, "four")
    assert drain(log) == ["three", "four"]
    append(path, "five")
    assert drain(log) == ["five"]
    log.close()


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_nothing_is_lost_or_seen_twice_over_a_restart(path: Path, rotation: str) -> None:
    append(path, "a line that is long enough to be told from others " * 3, "two")
    log = LogFile(path)
    assert len(drain(log)) == 2
    position = position_of(log)
    log.close()
    append(path, "three")
    ROTATIONS[rotation](path)
    append(path, "four")
    log = LogFile(path, position)
    assert drain(log) == ["three", "four"]
    position = position_of(log)
    log.close()
    assert read_all(path, position) == []


def test_two_rotations_while_it_was_away(path: Path) -> None:
    append(path, "one")
    log = LogFile(path)
    assert drain(log) == ["one"]
    position = position_of(log)
    log.close()
    append(path, "two")
    path.rename(path.with_name("mail.log.2"))
    append(path, "three")
    os.utime(path.with_name("mail.log.2"), (1, 1))
    path.rename(path.with_name("mail.log.1"))
    append(path, "four")
    assert read_all(path, position) == ["two", "three", "four"]


def test_a_writer_that_has_not_noticed_is_read_on(path: Path) -> None:
    append(path, "one")
    log = LogFile(path)
    with path.open("a") as writer:
        assert drain(log) == ["one"]
        rename(path)
        append(path, "new")
        assert drain(log) == ["new"]
        writer.write("late\n")
        writer.flush()
        assert drain(log) == ["late"]
    log.close()


def test_a_file_that_comes_later_and_goes_and_comes(path: Path, logged: Callable[[], list[dict[str, object]]]) -> None:
    log = LogFile(path)
    assert drain(log) == []
    append(path, "one")
    assert drain(log) == ["one"]
    path.unlink()
    assert drain(log) == []
    append(path, "two")
    assert drain(log) == ["two"]
    assert logged() == []
    log.close()


def test_only_whole_lines_and_none_that_is_endless(path: Path) -> None:
    log = LogFile(path)
    with path.open("ab") as file:
        file.write(b"half")
        file.flush()
        assert drain(log) == []
        file.write(b" and half\n" + b"x" * (3 << 20))
        file.flush()
        assert drain(log) == ["half and half"]
        file.write(b"tail\nnext\n" + b"y" * (opened.MAX_LINE + 1) + b"\nlast\n")
        file.flush()
        assert drain(log) == ["next", "last"]
    log.close()


def test_cut_off_and_written_beyond_the_place(path: Path) -> None:
    append(path, "one")
    log = LogFile(path)
    assert drain(log) == ["one"]
    path.write_text("quite another line, longer than what was there\n")
    assert drain(log) == ["quite another line, longer than what was there"]
    log.close()


TORN = "Nov 21 02:20:00 mail dovecot: imap-login: Disconnected: Aborted login (auth failed): user=<"
REST = "Nov 21 02:20:00 mail dovecot: pop3-login: Login: user=<joe>, method=PLAIN, rip=203.0.113.66, lip=192.0.2.1"
"""A failed login, of somebody whose name begins like the line of a good one. The line was torn just before it."""


def tear(path: Path) -> None:
    with path.open("a") as file:
        file.write(TORN)


def cut_off_and_compress(path: Path) -> None:
    copy_and_cut_off(path)
    copy = path.with_name(f"{path.name}.1")
    copy.with_name(f"{copy.name}.gz").write_bytes(gzip.compress(copy.read_bytes()))
    copy.unlink()


CUTS = {
    "copytruncate": copy_and_cut_off,
    "copytruncate and compress": cut_off_and_compress,
    "truncate": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("before", [["one"], []])
@pytest.mark.parametrize("cut", CUTS)
def test_the_rest_of_a_line_that_was_torn_by_a_cut_is_no_line(path: Path, cut: str, before: list[str]) -> None:
    append(path, *before)
    tear(path)
    log = LogFile(path)
    assert drain(log) == before
    CUTS[cut](path)
    assert drain(log) == []
    append(path, REST, "two")
    assert drain(log) == ["two"]
    log.close()


@pytest.mark.parametrize("cut", CUTS)
def test_a_torn_line_that_was_whole_before_the_cut_leaves_no_rest(path: Path, cut: str) -> None:
    append(path, "one")
    tear(path)
    log = LogFile(path)
    assert drain(log) == ["one"]
    append(path, "")
    assert drain(log) == [TORN]
    CUTS[cut](path)
    append(path, "two")
    assert drain(log) == ["two"]
    log.close()


@pytest.mark.parametrize("cut", ["copytruncate", "copytruncate and compress"])
def test_the_rest_of_a_torn_line_is_none_after_restarts_either(path: Path, cut: str) -> None:
    append(path, "one")
    log = LogFile(path)
    assert drain(log) == ["one"]
    position = position_of(log)
    log.close()
    append(path, "two")
    tear(path)
    CUTS[cut](path)
    log = LogFile(path, position)
    batch = log.read()
    assert batch is not None
    assert batch.lines == [b"two"]
    log.close()
    append(path, REST, "three")
    assert read_all(path, batch.position) == ["three"]


def test_a_line_that_is_torn_by_a_rename_is_whole_in_the_old_file(path: Path) -> None:
    append(path, "one")
    log = LogFile(path)
    with path.open("a") as writer:
        writer.write("two and ")
        writer.flush()
        assert drain(log) == ["one"]
        rename(path)
        append(path, "three")
        assert drain(log) == ["three"]
        writer.write("a half\n")
        writer.flush()
        assert drain(log) == ["two and a half"]
    log.close()


def test_the_end_of_an_endless_line_is_no_line_after_a_restart(path: Path) -> None:
    append(path, "one")
    log = LogFile(path)
    assert drain(log) == ["one"]
    with path.open("a") as file:
        file.write("x" * (opened.MAX_LINE + 1))
    assert drain(log) == []
    position = position_of(log)
    log.close()
    append(path, REST, "two")
    assert read_all(path, position) == ["two"]


@pytest.mark.parametrize("lines", [["two"], ["another line, longer than what was there before it"]])
def test_a_new_file_that_got_the_old_ones_number_is_read_from_its_start(path: Path, lines: list[str]) -> None:
    append(path, "one of the lines")
    log = LogFile(path)
    assert drain(log) == ["one of the lines"]
    [[device, _inode, *mark]], heads = json.loads(position_of(log))
    log.close()
    path.unlink()
    append(path, *lines)
    assert read_all(path, json.dumps([[[device, path.stat().st_ino, *mark]], heads])) == lines


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"one\n")[:12], gzip.compress(b"x" * 99)[:-9] + b"zz"],
    ids=["empty", "something else", "half of the header", "damaged"],
)
def test_what_is_broken_beside_it_does_no_harm(path: Path, content: bytes) -> None:
    path.with_name("mail.log.1.gz").write_bytes(content)
    path.touch()
    log = LogFile(path)
    assert drain(log) == []
    append(path, "one")
    assert drain(log) == ["one"]
    position = position_of(log)
    log.close()
    os.truncate(path, 0)
    append(path, "two")
    assert read_all(path, position) == ["two"]


NO_PLACES = [
    "x",
    "[]",
    "{}",
    "[1]",
    "[[1],[]]",
    "[[[1,2,3,4]],[]]",
    '[[[1,2,3,"zz",0,"",false]],[]]',
    '[[[1,2,9,[2,"6162"],0,[0,""],false]],[[1,2,3]]]',
    '[[[1,2,9,[2,"6162"],0,[0,""],false]],[]]',
]


@pytest.mark.parametrize("position", NO_PLACES)
def test_a_place_that_makes_no_sense_is_the_start(path: Path, position: str) -> None:
    append(path, "one")
    assert read_all(path, position) == ["one"]


def test_what_was_there_before_is_not_live_and_what_comes_is(path: Path) -> None:
    append(path, "one")
    log = LogFile(path)
    first = log.read()
    assert first is not None
    assert (first.lines, first.is_live) == ([], False)  # for its position: what is lost before the first line has come?
    batch = log.read()
    assert batch is not None
    assert not batch.is_live
    assert abs(batch.when - time.time()) < 60
    assert log.read() is None
    append(path, "two")
    batch = log.read()
    assert batch is not None
    assert batch.is_live
    log.close()


def test_what_is_in_a_file_that_comes_late_is_not_live(path: Path) -> None:
    log = LogFile(path)
    assert log.read() is None
    append(path, "of last week, on a disk that was not there yet")
    batch = log.read()
    assert batch is not None
    assert batch.lines == []
    batch = log.read()
    assert batch is not None
    assert not batch.is_live
    log.close()


def test_names_with_wildcards(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.txt"):
        (tmp_path / name).touch()
    assert list(expand(f"{tmp_path}/*.log")) == [tmp_path / "a.log", tmp_path / "b.log"]
    assert list(expand(f"{tmp_path}/nothing")) == [tmp_path / "nothing"]


def test_what_is_no_file_is_told_once_and_waited_for_by_nobody(
    path: Path, logged: Callable[[], list[dict[str, object]]]
) -> None:
    os.mkfifo(path)
    log = LogFile(path)
    assert [log.read(), log.read()] == [None, None]
    path.unlink()
    path.symlink_to("/dev/zero")
    assert [log.read(), log.read()] == [None, None]
    assert [line["reason"] for line in logged()] == ["Not a regular file"]
    path.unlink()
    append(path, "one")
    assert drain(log) == ["one"]
    log.close()


def test_of_a_line_without_an_end_a_bit_is_read_at_a_time(path: Path) -> None:
    """A disk full of nothing would keep all other logs waiting, and the service from stopping."""
    with path.open("wb") as file:
        file.truncate(1 << 40)
    log = LogFile(path)
    places = set()
    for _ in range(5):
        batch = log.read()
        assert batch is not None
        assert batch.lines == []
        places.add(batch.position)
    assert len(places) == 5
    log.close()


def test_a_file_that_may_not_be_read_is_told_once(path: Path, logged: Callable[[], list[dict[str, object]]]) -> None:
    path.mkdir()
    log = LogFile(path)
    for _ in range(3):
        assert drain(log) == []
    assert [line["event"] for line in logged()] == ["log-unreadable"]


class Rotations(RuleBasedStateMachine):
    """Any order of writing, rotating, reading and starting anew; some lines are written in two halves."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(os.path.realpath(os.environ.get("TMPDIR", "/tmp"))) / f"rotations-{os.getpid()}-{id(self)}"
        self.folder.mkdir()
        self.path = self.folder / "mail.log"
        self.path.touch()
        self.count = self.turns = 0
        self.writer: IO[str] | None = None  # who has written half a line
        self.is_torn = False  # whether that half was cut off
        self.tick(self.path)
        self.log = LogFile(self.path)
        self.position = ""
        self.written: list[str] = []
        self.seen: list[str] = []

    @rule()
    def write_half(self) -> None:
        if self.writer is None:
            self.count += 1
            self.writer = self.path.open("a", buffering=1)
            os.write(self.writer.fileno(), f"line {self.count} ".encode())
            self.tick(self.path)
            self.is_torn = False

    @rule()
    def write_other_half(self) -> None:
        if self.writer is not None:
            rest = f"that was written in halves, the {self.count}th"
            self.writer.write(f"{rest}\n")
            self.turns += 1
            os.utime(self.writer.fileno(), (self.turns, self.turns))
            self.writer.close()
            self.writer = None
            if not self.is_torn:
                self.written.append(f"line {self.count} {rest}")

    @rule(lines=st.integers(1, 3))
    def write(self, lines: int) -> None:
        self.write_other_half()
        for _ in range(lines):
            self.count += 1
            line = f"line {self.count} of those that are written"
            append(self.path, line)
            self.tick(self.path)
            self.written.append(line)

    def tick(self, path: Path) -> None:
        """Have been written to just now, by a clock that tells all times apart."""
        self.turns += 1
        os.utime(path, (self.turns, self.turns))

    @rule(batches=st.integers(1, 2))
    def read(self, batches: int) -> None:
        for _ in range(batches):
            batch = self.log.read()
            if batch is not None:
                self.seen += [line.decode() for line in batch.lines]  # type: ignore[union-attr]
                self.position = batch.position

    @rule(kind=st.sampled_from(["rename", "copytruncate", "gzip"]))
    def rotate(self, kind: str) -> None:
        if kind == "copytruncate" and not self.path.stat().st_size:
            return
        if kind == "gzip":
            self.write_other_half()  # or nobody would see what is written after it was compressed
        for number in range(60, 0, -1):
            for suffix in ("", ".gz"):
                old = self.folder / f"mail.log.{number}{suffix}"
                if old.exists():
                    old.rename(self.folder / f"mail.log.{number + 1}{suffix}")
        ROTATIONS[kind](self.path)
        if kind == "copytruncate":
            self.tick(self.folder / "mail.log.1")
            self.is_torn = True
        self.tick(self.path)

    @rule()
    def restart(self) -> None:
        if self.position:  # a first start begins with the file that has the name
            self.log.close()
            self.log = LogFile(self.path, self.position)

    @invariant()
    def nothing_twice(self) -> None:
        assert len(self.seen) == len(set(self.seen))

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.close()
        while (batch := self.log.read()) is not None:
            self.seen += [line.decode() for line in batch.lines]  # type: ignore[union-attr]
        self.log.close()
        shutil.rmtree(self.folder)
        assert sorted(self.seen) == sorted(self.written)


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=60, stateful_step_count=25)


def test_what_came_between_is_found_if_it_is_renamed_whenever_names_were_read(path: Path) -> None:
    append(path, "one")
    log = LogFile(path)
    assert drain(log) == ["one"]
    position = position_of(log)
    log.close()
    path.rename(path.with_name("mail.log-0"))
    lure = path.with_name("mail.log-1")
    lure.touch()
    append(path, "between")
    between = path.rename(path.with_name("mail.log-2"))
    append(path, "now")
    names = iter([path.with_name(f"mail.log-{number}") for number in range(3, 12)])

    def rename_between(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal between
        if event == "open" and arguments[0] == str(lure):
            between = between.rename(next(names, between))

    sys.addaudithook(rename_between)  # it stays, but has nothing to do after this test
    assert read_all(path, position) == ["between", "now"]
    assert next(names, None) is None


def test_what_came_between_is_found_when_a_compressor_kept_whole_seconds(path: Path) -> None:
    append(path, "one")
    os.utime(path, (1000.5, 1000.5))
    log = LogFile(path)
    assert drain(log) == ["one"]
    position = position_of(log)
    log.close()
    path.rename(path.with_name("mail.log.2"))
    append(path, "between")
    compress(gzip.open, ".gz")(path)
    os.utime(path.with_name("mail.log.1.gz"), (1000, 1000))
    append(path, "now")
    assert read_all(path, position) == ["between", "now"]


def test_what_came_since_is_read_where_the_file_of_the_place_is_gone(
    path: Path, logged: Callable[[], list[dict[str, object]]]
) -> None:
    append(path, "one")
    log = LogFile(path)
    assert drain(log) == ["one"]
    position = position_of(log)
    log.close()
    path.unlink()
    append(path, "between")
    rename(path)
    append(path, "now")
    assert read_all(path, position) == ["between", "now"]
    assert [event["event"] for event in logged()] == ["log-place-lost"]


FOLLOWER = """
import sqlite3, sys, time
from pathlib import Path
from submission.popwatch.files import LogFile
path = Path(sys.argv[1])
db = sqlite3.connect(sys.argv[2], isolation_level=None)
db.execute("PRAGMA synchronous = OFF")
db.execute("CREATE TABLE IF NOT EXISTS seen (line TEXT)")
db.execute("CREATE TABLE IF NOT EXISTS place (position TEXT)")
row = db.execute("SELECT position FROM place").fetchone()
log = LogFile(path, row[0] if row else "")
print("ready", flush=True)
while True:
    batch = log.read()
    if batch is None:
        time.sleep(0.002)
        continue
    db.execute("BEGIN")
    db.executemany("INSERT INTO seen VALUES (?)", [(line.decode(),) for line in batch.lines])
    db.execute("DELETE FROM place")
    db.execute("INSERT INTO place VALUES (?)", (batch.position,))
    db.execute("COMMIT")
"""


class Torture(threading.Thread):
    """Rotates a file until it is told to stop, at moments and in ways that its numbers say."""

    def __init__(self, path: Path, numbers: Iterator[int]) -> None:
        super().__init__()
        self.path = path
        self.done = threading.Event()
        self.turn = threading.Lock()
        """Held while the file is rotated: what is written during a copytruncate is lost to everybody."""
        self._numbers = numbers

    def run(self) -> None:
        for number in itertools.count():
            if self.done.wait(next(self._numbers) % 100 / 1000):
                return
            kind = list(ROTATIONS)[next(self._numbers) % len(ROTATIONS)]
            with self.turn:
                if not self.path.stat().st_size:
                    continue
                ROTATIONS[kind](self.path)
                folder, name = self.path.parent, self.path.name
                for old in [*folder.glob(f"{name}.1"), *folder.glob(f"{name}.1.*")]:
                    old.rename(folder / old.name.replace(f"{name}.1", f"{name}-{number:04}"))


def numbers(seed: int) -> Iterator[int]:
    """Any numbers, the same for a seed."""
    while True:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        yield seed >> 8


def write_lines(torture: Torture, count: int) -> None:
    for start in range(0, count, 50):
        with torture.turn, torture.path.open("a") as file:
            file.writelines(f"line {number:05} of a log that is rotated\n" for number in range(start, start + 50))
        time.sleep(0.004)


def start_follower(path: Path, database: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", FOLLOWER, str(path), str(database)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def test_twenty_thousand_lines_through_rotations_at_any_moment_and_twenty_kills(tmp_path: Path) -> None:
    path, database, count, dice = tmp_path / "mail.log", tmp_path / "seen.db", 20_000, numbers(20)
    path.touch()
    torture = Torture(path, numbers(3))
    writer = threading.Thread(target=write_lines, args=(torture, count))
    process = start_follower(path, database)
    torture.start()
    writer.start()
    for _ in range(20):
        time.sleep(next(dice) % 150 / 1000)
        kill(process)
        process = start_follower(path, database)
    writer.join()
    torture.done.set()
    torture.join()
    reader = sqlite3.connect(database)
    end = time.monotonic() + 30
    while reader.execute("SELECT COUNT(DISTINCT line) FROM seen").fetchone()[0] < count and time.monotonic() < end:
        time.sleep(0.05)
    kill(process)
    total, distinct = reader.execute("SELECT COUNT(*), COUNT(DISTINCT line) FROM seen").fetchone()
    reader.close()
    assert (distinct, total) == (count, count)
