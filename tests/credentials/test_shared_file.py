"""A file that others change, at each of the moments in which they may."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.credentials import shared_file
from submission.credentials.shared_file import LockTimeoutError, locked, read, replace, version
from tests.support.network import PATIENCE

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    path.write_bytes(b"old")
    return path


def names(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


def test_a_file_is_replaced_if_it_is_what_it_was(path: Path) -> None:
    inode = path.stat().st_ino
    assert replace(path, b"old", b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_ino != inode
    assert names(path) == {"shared"}


@pytest.mark.parametrize("before", [b"ol", b"old and more", b"", None])
def test_a_file_that_is_another_stays(path: Path, before: bytes | None) -> None:
    assert not replace(path, before, b"new")
    assert path.read_bytes() == b"old"
    assert names(path) == {"shared"}


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert replace(tmp_path / "made", None, b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o640, 0o400])
def test_the_mode_is_kept(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert replace(path, b"old", b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_time_is_that_of_the_change(path: Path) -> None:
    os.utime(path, (1, 1))
    assert replace(path, b"old", b"new")
    assert path.stat().st_mtime > time.time() - PATIENCE


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="the system has no such attributes")
def test_attributes_such_as_access_lists_are_kept(path: Path) -> None:
    try:
        os.setxattr(path, "user.label", b"secret")
    except OSError:
        pytest.skip("the file system has no such attributes")
    assert replace(path, b"old", b"new")
    assert os.getxattr(path, "user.label") == b"secret"


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_owner_and_group_are_kept_and_a_new_file_gets_those_of_its_folder(path: Path) -> None:
    os.chown(path, 1, 2)
    assert replace(path, b"old", b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1, 2)
    os.chown(path.parent, 3, 4)
    with locked(path):
        assert replace(path.with_name("made"), None, b"new")
    for name in ("made", "shared.lock"):
        made = path.with_name(name).stat()
        assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (3, 4, 0o600)


def test_what_a_killed_process_left_is_removed(path: Path) -> None:
    path.with_name(".shared.new").write_bytes(b"half")
    os.link(path, path.with_name(".shared.old"))
    assert replace(path, b"old", b"new")
    assert names(path) == {"shared"}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nobody tells which file is open")
def test_a_link_put_in_the_new_file_s_place_leads_nowhere(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = path.with_name("victim")
    victim.write_bytes(b"precious")
    victim.chmod(0o600)
    path.chmod(0o660)

    def swap(descriptor: int, mode: int) -> None:
        new = Path(f"/proc/self/fd/{descriptor}").readlink()
        new.unlink()
        new.symlink_to(victim)
        fchmod(descriptor, mode)

    fchmod = os.fchmod
    monkeypatch.setattr(os, "fchmod", swap)
    replace(path, b"old", b"new")
    assert (victim.read_bytes(), stat.S_IMODE(victim.stat().st_mode)) == (b"precious", 0o600)


@pytest.mark.parametrize("name", [".shared.new", "shared.lock"])
def test_links_that_somebody_put_in_the_way_lead_nowhere(path: Path, name: str) -> None:
    victim = path.with_name("victim")
    victim.write_bytes(b"precious")
    path.with_name(name).symlink_to(victim)
    try:
        with locked(path):
            assert replace(path, b"old", b"new")
    except OSError:
        assert name == "shared.lock"
    assert victim.read_bytes() == b"precious"


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="the system has no leases")
class TestLeases:
    def test_while_somebody_has_it_open_to_write_nothing_is_replaced(self, path: Path) -> None:
        with path.open("r+b"):
            assert not replace(path, b"old", b"new")
        with path.open("rb"):
            assert replace(path, b"old", b"new")

    @pytest.mark.skipif(not Path("/proc/locks").exists(), reason="nobody tells who waits")
    def test_somebody_who_opens_it_in_the_last_moment_writes_to_the_file_that_stays(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = "import sys; file = open(sys.argv[1], 'r+b'); file.write(b'their')"
        writers = []

        def link_and_let_somebody_open_it(old: Path, spare: Path) -> None:
            link(old, spare)
            writers.append(subprocess.Popen([sys.executable, "-c", script, str(path)]))
            end = time.monotonic() + PATIENCE
            while "BREAKING" not in Path("/proc/locks").read_text():
                assert time.monotonic() < end
                time.sleep(0.001)  # there is no event for it

        link = os.link
        monkeypatch.setattr(os, "link", link_and_let_somebody_open_it)
        assert not replace(path, b"old", b"new")
        [writer] = writers
        assert writer.wait(PATIENCE) == 0
        assert path.read_bytes() == b"their"
        assert names(path) == {"shared"}


def test_a_lock_keeps_others_out_until_they_lose_patience(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_file, "LOCK_TIMEOUT", 0.02)
    with locked(path), pytest.raises(LockTimeoutError), locked(path):
        pass
    with locked(path):
        pass


def test_a_lock_is_waited_for(path: Path) -> None:
    order = []

    def wait() -> None:
        with locked(path):
            order.append("second")

    with locked(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        order.append("first")
    waiting.join(PATIENCE)
    assert order == ["first", "second"]


def settle(path: Path, seconds: float = 60) -> None:
    status = path.stat()
    os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


def test_a_version_lasts_until_a_change_and_is_that_of_what_was_read(path: Path) -> None:
    assert version(path) is None  # it was written just now
    settle(path)
    first = version(path)
    assert first is not None
    snapshot = read(path, 100)
    assert (snapshot.data, snapshot.version, snapshot.is_torn) == (b"old", first, False)
    assert version(path) == first
    assert replace(path, b"old", b"NEW")
    settle(path)
    assert version(path) not in (None, first)
    settle(path, -3600)
    assert version(path) is None
    path.unlink()
    assert version(path) is None


def test_no_more_is_read_than_is_wanted(path: Path) -> None:
    assert read(path, 2).data == b"ol"


@pytest.fixture
def restless(path: Path) -> Iterator[Path]:
    """A file that somebody else writes to all the time."""
    script = "import sys\nwhile True: open(sys.argv[1], 'r+b').write(b'.')"
    os.truncate(path, 50_000_000)
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as process:
        yield path
        process.kill()


def test_a_read_in_the_midst_of_a_change_is_torn(restless: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not (snapshot := read(restless, 50_000_000)).is_torn:
        assert time.monotonic() < end
    assert snapshot.version is None
