import base64
import os
import re
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from submission.core.addresses import Login
from submission.credentials.sealing import Sealer
from submission.credentials.store import StoreUnavailableError
from tests.support.processes import run_together

ALICE = Login("alice", "example.com")
PURPOSE = "secret"
KEYS = {"0a1b2c3d": bytes(range(32)), "ffffffff": bytes(32)}
SEALER = Sealer(KEYS)

HALVES = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)
LOGINS = st.builds(Login, HALVES, HALVES)
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)


def key_line(key_id: str) -> str:
    return f"{key_id} {base64.b64encode(KEYS[key_id]).decode()}\n"


def write_key_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@given(PASSWORDS, LOGINS, HALVES)
def test_opens_what_it_sealed(password: str, login: Login, purpose: str) -> None:
    sealed = SEALER.seal(password, login, purpose)
    assert re.fullmatch(r"v1:0a1b2c3d:[A-Za-z0-9+/]+=*", sealed)
    assert SEALER.open(sealed, login, purpose) == password
    assert SEALER.seal(password, login, purpose) != sealed


@given(PASSWORDS, st.data())
def test_does_not_open_what_was_tampered_with(password: str, data: st.DataObject) -> None:
    sealed = SEALER.seal(password, ALICE, PURPOSE)
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(max_codepoint=0x17F).filter(lambda char: char != sealed[place]))
    replaced = sealed[:place] + other + sealed[place + 1 :]
    shortened = sealed[:place] + sealed[place + 1 :]
    cut = sealed[:place]
    for forged in (replaced, shortened, cut, sealed[:place] + other + sealed[place:], sealed + "\n", sealed * 2):
        # The spare bits of base64's last digit stand for nothing, so that a few texts say the same.
        assume(_octets(forged) != _octets(sealed))
        with pytest.raises(StoreUnavailableError, match=r"alice@example\.com"):
            SEALER.open(forged, ALICE, PURPOSE)


def _octets(sealed: str) -> tuple[str, bytes] | None:
    """What is under a key, and which: None for what is no sealed value."""
    match = re.fullmatch("(v1:[0-9a-f]{8}):([A-Za-z0-9+/]+=*)", sealed)
    try:
        return (match[1], base64.b64decode(match[2], validate=True)) if match else None
    except ValueError:
        return None


@given(st.text(max_size=60))
def test_does_not_open_what_was_never_sealed(text: str) -> None:
    for sealed in (text, f"v1:0a1b2c3d:{text}", f"v1:0a1b2c3d:{base64.b64encode(text.encode()).decode()}"):
        with pytest.raises(StoreUnavailableError):
            SEALER.open(sealed, ALICE, PURPOSE)


@given(LOGINS, LOGINS)
def test_is_good_for_one_login_and_purpose_only(login: Login, other: Login) -> None:
    assume(login != other)
    sealed = SEALER.seal("tanstaaf", login, PURPOSE)
    swapped = Login(login.realm, login.user)
    for somebody in {other, swapped, Login(login.user, login.realm + "x"), Login(login.user + "x", login.realm)}:
        if somebody != login:
            with pytest.raises(StoreUnavailableError):
                SEALER.open(sealed, somebody, PURPOSE)
    with pytest.raises(StoreUnavailableError):
        SEALER.open(sealed, login, PURPOSE + "x")


def test_an_error_tells_no_secret() -> None:
    sealed = SEALER.seal("tanstaaf", ALICE, PURPOSE)
    with pytest.raises(StoreUnavailableError) as caught:
        SEALER.open(sealed, Login("bob", "example.com"), PURPOSE)
    assert sealed not in str(caught.value)
    assert "tanstaaf" not in str(caught.value)


def test_the_first_key_seals_and_all_of_them_open(tmp_path: Path) -> None:
    old = Sealer.from_file(write_key_file(tmp_path / "old", key_line("ffffffff")))
    both = Sealer.from_file(write_key_file(tmp_path / "both", key_line("0a1b2c3d") + key_line("ffffffff")))
    sealed = old.seal("tanstaaf", ALICE, PURPOSE)
    assert both.open(sealed, ALICE, PURPOSE) == "tanstaaf"
    assert both.seal("tanstaaf", ALICE, PURPOSE).startswith("v1:0a1b2c3d:")
    with pytest.raises(StoreUnavailableError, match="key file doesn't have"):
        old.open(both.seal("tanstaaf", ALICE, PURPOSE), ALICE, PURPOSE)


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    before = os.umask(0)
    try:
        sealed = Sealer.from_file(path).seal("tanstaaf", ALICE, PURPOSE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert re.fullmatch(r"[0-9a-f]{8} [A-Za-z0-9+/]{43}=\n", path.read_text())
    assert Sealer.from_file(path).open(sealed, ALICE, PURPOSE) == "tanstaaf"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_key_file_that_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    shutil.chown(tmp_path, "nobody")
    Sealer.from_file(tmp_path / "store.key")
    assert (tmp_path / "store.key").owner() == "nobody"
    assert (tmp_path / "store.key").stat().st_gid == tmp_path.stat().st_gid


FIRST_USE = """
import sys
from pathlib import Path
from submission.core.addresses import Login
from submission.credentials.sealing import Sealer
print("ready", flush=True)
input()
print(Sealer.from_file(Path(sys.argv[1])).seal("tanstaaf", Login("alice", "example.com"), "secret"))
"""


def test_processes_that_use_it_first_at_once_share_one_key(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    sealed = run_together(FIRST_USE, [[str(path)]] * 8)
    sealer = Sealer.from_file(path)
    assert [sealer.open(value.strip(), ALICE, PURPOSE) for value in sealed] == ["tanstaaf"] * 8
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_key_file(tmp_path / "store.key", key_line("0a1b2c3d"))
    path.chmod(mode)
    with pytest.raises(StoreUnavailableError, match="chmod 600"):
        Sealer.from_file(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("\n", ":1: not a key"),
        (key_line("0a1b2c3d") + "x", ":2: not a key"),
        ("0a1b2c3d " + base64.b64encode(bytes(31)).decode() + "\n", ":1: not a key"),
        ("0A1B2C3D" + key_line("0a1b2c3d")[8:], ":1: not a key"),
        ("\x00\xff", ":1: not a key"),
        (2 * key_line("0a1b2c3d"), ":2: the key's id"),
        (
            "".join(f"{number:08x}" + key_line("0a1b2c3d")[8:] for number in range(2000)),
            ": not a key",
        ),  # more than is read
    ],
)
def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path: Path, text: str, complaint: str) -> None:
    path = write_key_file(tmp_path / "store.key", text)
    with pytest.raises(StoreUnavailableError, match=f"store.key.*{complaint}") as caught:
        Sealer.from_file(path)
    assert key_line("0a1b2c3d")[9:20] not in str(caught.value)


def test_a_key_file_that_is_out_of_reach_is_trouble_with_the_store(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere" / "key")
    for name, complaint in {
        "folder": "Is a directory",
        "missing/store.key": "No such file",
        "loose": "No such file",
    }.items():
        with pytest.raises(StoreUnavailableError, match=complaint):
            Sealer.from_file(tmp_path / name)


def test_a_derived_key_is_of_its_purpose_and_of_the_key_that_seals() -> None:
    one, other = bytes(range(32)), bytes(32)
    derived = Sealer({"0a1b2c3d": one}).derive("decoys")
    assert len(derived) == 32
    assert Sealer({"0a1b2c3d": one, "11111111": other}).derive("decoys") == derived
    for another in (
        Sealer({"0a1b2c3d": one}).derive("something else"),
        Sealer({"0a1b2c3d": other}).derive("decoys"),
        Sealer({"11111111": other, "0a1b2c3d": one}).derive("decoys"),
        one,
    ):
        assert another != derived
