"""Cyrus SASL's file as a store; tests/peers/test_sasldb2.py has Cyrus SASL's own programs at it."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from submission.core.addresses import Login
from submission.core.databases import berkeley_db
from submission.credentials import sasldb2
from submission.credentials.sasldb2 import Sasldb2Store, is_sasldb2, read_passwords
from submission.credentials.store import Record, StoreUnavailableError
from tests.support.network import PATIENCE
from tests.support.server import public_folder

ALICE = Login("alice", "example.com")
BOB = Login("bob", "example.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sasldb2"


@pytest.fixture
def store(path: Path) -> Sasldb2Store:
    return Sasldb2Store(path)


def key(user: str, property_: str = "userPassword", realm: str = "example.com") -> bytes:
    return f"{user}\0{realm}\0{property_}".encode()


def keep(store: Sasldb2Store, login: Login, password: str) -> None:
    store.change(login, lambda _: Record(login, clear=password))


def put(path: Path, entries: dict[bytes, bytes]) -> None:
    """Write a file as Cyrus SASL does: in place, unless it is new."""
    path.touch(0o600)
    path.write_bytes(berkeley_db.write(entries))


def entries(path: Path) -> dict[bytes, bytes]:
    return berkeley_db.read(path.read_bytes()).entries


def settle(path: Path, seconds: float = 60) -> None:
    """Let the file have been written so long ago."""
    status = path.stat()
    os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


NAMES = st.text(st.characters(categories=["L", "N"], max_codepoint=0x17F), min_size=1, max_size=30)
LOGINS = st.builds(Login, NAMES, NAMES)


@settings(max_examples=30)
@given(st.dictionaries(LOGINS, st.text(st.characters(exclude_categories=["C"]), min_size=1), max_size=5))
def test_keeps_what_it_is_given_in_order_of_realm_and_user(
    tmp_path_factory: pytest.TempPathFactory, passwords: dict[Login, str]
) -> None:
    store = Sasldb2Store(tmp_path_factory.mktemp("etc") / "sasldb2")
    for login, password in passwords.items():
        keep(store, login, password)
    for login, password in passwords.items():
        assert store.read(login) == Record(login, clear=password)
        store.change(login, lambda _: None)
        assert store.read(login) is None


def test_a_change_sees_what_is_kept_and_a_failing_one_changes_nothing(store: Sasldb2Store, path: Path) -> None:
    seen: list[Record | None] = []
    keep(store, ALICE, "first")
    before = path.read_bytes()

    def fail(record: Record | None) -> Record:
        seen.append(record)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.change(ALICE, fail)
    assert seen == [Record(ALICE, clear="first")]
    assert path.read_bytes() == before
    keep(store, ALICE, "second")
    assert store.read(ALICE) == Record(ALICE, clear="second")


def test_a_change_to_what_is_there_already_doesn_t_touch_the_file(store: Sasldb2Store, path: Path) -> None:
    keep(store, ALICE, "first")
    inode = path.stat().st_ino
    keep(store, ALICE, "first")
    store.change(BOB, lambda record: record)
    assert path.stat().st_ino == inode


def test_entries_are_cyrus_sasl_s_and_no_others(store: Sasldb2Store, path: Path) -> None:
    keep(store, ALICE, "tanst\u00e4\u00e4f")
    keep(store, BOB, "secret")
    assert entries(path) == {key("alice"): "tanst\u00e4\u00e4f".encode(), key("bob"): b"secret"}


@pytest.mark.parametrize("change", [lambda _: Record(ALICE, clear="new"), lambda _: None], ids=["set", "deleted"])
def test_what_was_derived_from_a_password_goes_with_it_and_all_else_stays(
    store: Sasldb2Store, path: Path, change: Callable[[Record | None], Record | None]
) -> None:
    others = {
        key("bob"): b"secret",
        key("bob", "cmusaslsecretCRAM-MD5"): b"derived",
        key("alice", "cmusaslsecretOTP"): b"no password",
        key("alice", realm="example.org"): b"in another realm",
        b"of another form": b"x" * 9000,
        b"\xff\0\xff\0userPassword": b"\xff",
    }
    derived = {key("alice", f"cmusaslsecret{name}"): b"derived" for name in ("CRAM-MD5", "DIGEST-MD5", "PLAIN")}
    put(path, others | derived | {key("alice"): b"old"})
    store.change(ALICE, change)
    after = entries(path)
    after.pop(key("alice"), None)
    assert after == others


def test_names_are_compared_exactly(store: Sasldb2Store) -> None:
    keep(store, ALICE, "secret")
    for user, realm in (("Alice", "example.com"), ("alice", "Example.com"), ("alice@example.com", "example.com")):
        assert store.read(Login(user, realm)) is None


def test_nobody_is_disabled_or_has_app_passwords(store: Sasldb2Store) -> None:
    store.change(ALICE, lambda _: Record(ALICE, clear="tanstaaf"))
    assert list(store.disabled()) == []
    assert store.read_own(ALICE) == store.read(ALICE) == Record(ALICE, clear="tanstaaf")


def test_records_are_those_that_somebody_can_log_in_by(store: Sasldb2Store, path: Path) -> None:
    put(
        path,
        {
            key("bob"): b"secret",
            key("alice"): b"secret",
            key("carol"): b"caf\xe9",  # not UTF-8, which clients are taken to speak
            key("at@home", realm="example.org"): b"secret",
            key("\ufb01"): b"no client's name is this, once it is prepared",
            key("x" * 300): b"too long",
            key("", realm=""): b"nobody",
            b"\xff\0example.com\0userPassword": b"no UTF-8",
            key("dave", "cmusaslsecretCRAM-MD5"): b"no password",
            b"of another form": b"",
        },
    )
    assert list(store.records()) == [
        Record(ALICE, clear="secret"),
        Record(BOB, clear="secret"),
        Record(Login("carol", "example.com")),
        Record(Login("at@home", "example.org"), clear="secret"),
    ]
    assert store.read(Login("carol", "example.com")) == Record(Login("carol", "example.com"))


@pytest.mark.parametrize(
    "record",
    [Record(ALICE, password="hash"), Record(ALICE, clear="x", is_disabled=True), Record(ALICE)],
    ids=["hash", "disabled", "nothing"],
)
def test_what_the_file_can_t_hold_is_refused(store: Sasldb2Store, path: Path, record: Record) -> None:
    keep(store, ALICE, "secret")
    with pytest.raises(StoreUnavailableError, match="keeps passwords in the clear, and nothing else"):
        store.change(ALICE, lambda _: record)
    assert entries(path) == {key("alice"): b"secret"}


def test_the_first_change_makes_the_file_for_its_owner_alone(store: Sasldb2Store, path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="sasldb2: No such file"):
        store.read(ALICE)
    assert list(path.parent.iterdir()) == []
    keep(store, ALICE, "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o602])
def test_a_file_that_everybody_may_use_is_refused(store: Sasldb2Store, path: Path, mode: int) -> None:
    keep(store, ALICE, "secret")
    path.chmod(mode)
    with pytest.raises(StoreUnavailableError, match=f"has mode {mode:04o}.*chmod o="):
        Sasldb2Store(path)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_a_group_may_use_it_and_keeps_its_right(path: Path, mode: int) -> None:
    put(path, {key("alice"): b"secret"})
    path.chmod(mode)
    keep(Sasldb2Store(path), BOB, "secret")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_symbolic_link_stays_one(path: Path) -> None:
    target = path.parent / "chroot" / "sasldb2"
    target.parent.mkdir()
    path.symlink_to("chroot/sasldb2")
    put(target, {key("alice"): b"secret"})
    store = Sasldb2Store(path)
    keep(store, BOB, "another")
    assert path.is_symlink()
    assert entries(target) == {key("alice"): b"secret", key("bob"): b"another"}
    assert {file.name for file in target.parent.iterdir()} == {"sasldb2", "sasldb2.lock"}
    assert store.read(BOB) == Record(BOB, clear="another")


def test_another_s_change_is_seen_by_the_next_read(store: Sasldb2Store, path: Path) -> None:
    for number in range(3):
        put(path, {key("alice"): b"secret %d" % number})
        assert store.read(ALICE) == Record(ALICE, clear=f"secret {number}")
        settle(path)
        assert store.read(ALICE) == Record(ALICE, clear=f"secret {number}")


def test_a_file_that_is_as_it_was_isn_t_read_again(store: Sasldb2Store, path: Path) -> None:
    put(path, {key(f"user{number}"): b"secret" for number in range(5000)})
    settle(path)
    login = Login("user4711", "example.com")
    store.read(login)
    start = time.process_time()
    for _ in range(1000):
        assert store.read(login) is not None
    assert time.process_time() - start < 0.5  # a thousand times 5 ms otherwise


def test_a_version_ends_with_every_change(store: Sasldb2Store, path: Path) -> None:
    put(path, {key("alice"): b"secret"})
    assert store.version() is None
    settle(path)
    version = store.version()
    store.read(ALICE)
    assert store.version() == version is not None
    keep(store, ALICE, "secreT")
    assert store.version() is None
    settle(path)
    assert store.version() not in (None, version)


def test_a_file_that_is_being_written_is_read_when_it_is_whole(
    store: Sasldb2Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = berkeley_db.write({key("alice"): b"secret"})
    for torn in (b"", whole[:-1], whole.replace(b"\1alice", b"\0alice"), miscounted(whole)):
        put(path, {})
        path.write_bytes(torn)
        monkeypatch.setattr(time, "sleep", lambda _: path.write_bytes(whole))  # what happens while we wait
        assert store.read(ALICE) == Record(ALICE, clear="secret")


def miscounted(data: bytes) -> bytes:
    return data[:88] + b"\x07" + data[89:]


def test_a_file_that_never_becomes_whole_is_trouble_with_the_store(
    store: Sasldb2Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sasldb2, "PATIENCE", 0.02)
    put(path, {key("alice"): b"secret"})
    path.write_bytes(miscounted(path.read_bytes()))
    with pytest.raises(StoreUnavailableError, match="is being changed all the time"):
        store.read(ALICE)
    settle(path)  # a program was killed once: nobody is changing it, and the entries are what they are
    assert store.read(ALICE) == Record(ALICE, clear="secret")
    keep(store, BOB, "secret")
    assert berkeley_db.read(path.read_bytes()).is_complete


def test_an_open_file_is_no_obstacle_to_readers_and_one_to_writers(
    store: Sasldb2Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sasldb2, "PATIENCE", 0.02)
    keep(store, ALICE, "secret")
    with path.open("r+b"):
        assert store.read(ALICE) == Record(ALICE, clear="secret")
        if sys.platform == "linux":
            with pytest.raises(StoreUnavailableError, match="another program has it open"):
                keep(store, BOB, "secret")
    assert entries(path) == {key("alice"): b"secret"}


def test_a_change_of_another_s_in_the_midst_of_ours_is_kept(store: Sasldb2Store, path: Path) -> None:
    put(path, {})

    def change(record: Record | None) -> Record:
        if key("bob") not in entries(path):
            put(path, {key("bob"): b"theirs"})
        return Record(ALICE, clear="ours")

    store.change(ALICE, change)
    assert entries(path) == {key("alice"): b"ours", key("bob"): b"theirs"}


DAMAGE = {
    "": "is empty",
    "garbage": "is no database of a format that is known",
    "SQLite format 3\0": "is in the format SQLite",
    "\0" * 12 + "\x62\x31\x05\0": "is in the format Berkeley DB Btree",
}


@pytest.mark.parametrize(("content", "complaint"), DAMAGE.items())
def test_what_is_no_such_file_is_trouble_with_the_store(
    store: Sasldb2Store, path: Path, content: str, complaint: str
) -> None:
    path.write_text(content)
    path.chmod(0o600)
    settle(path)
    before = path.read_bytes()
    for use in (lambda: store.read(ALICE), lambda: keep(store, ALICE, "x"), lambda: list(read_passwords(path))):
        with pytest.raises(StoreUnavailableError, match=f"^{path}: {complaint}"):
            use()
    assert path.read_bytes() == before


def test_folders_loops_and_huge_files_are_trouble_with_the_store(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(0o700)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "huge").touch(0o600)
    os.truncate(tmp_path / "huge", 1 << 40)
    settle(tmp_path / "huge")
    for name in ("folder", "loop", "huge", "missing/sasldb2", "huge/sasldb2"):
        with pytest.raises(StoreUnavailableError, match=f"^{tmp_path / name}: "):
            keep(Sasldb2Store(tmp_path / name), ALICE, "secret")


def test_passwords_are_read_as_they_are(path: Path) -> None:
    put(path, {key("bob"): b"caf\xe9", key("alice"): b"secret", key("x", "other"): b"", b"\xff\0\0userPassword": b""})
    assert list(read_passwords(path)) == [
        ("\udcff", "", ""),
        ("alice", "example.com", "secret"),
        ("bob", "example.com", "caf\udce9"),
    ]


def test_a_file_is_known_by_what_is_in_it(path: Path) -> None:
    assert not is_sasldb2(path)
    put(path, {})
    assert is_sasldb2(path)
    path.write_bytes(b"SQLite format 3\0")
    assert not is_sasldb2(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_who_can_t_keep_the_owner_changes_nothing() -> None:
    script = (
        "import os, sys; from pathlib import Path; from submission.credentials.shared_file import replace\n"
        "path = Path(sys.argv[1]); before = path.read_bytes(); os.setuid(65534)\n"
        "try: replace(path, before, b'new')\n"
        "except PermissionError as error: print(error.strerror)"
    )
    with public_folder() as folder:
        shutil.chown(folder, 65534)
        path = folder / "sasldb2"
        put(path, {key("alice"): b"secret"})
        path.chmod(0o666)
        command = [sys.executable, "-c", script, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert result.stdout == "Operation not permitted\n", result.stderr
        assert entries(path) == {key("alice"): b"secret"}
