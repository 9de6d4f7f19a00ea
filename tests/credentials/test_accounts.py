from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.addresses import MAX_LOGIN, Login
from submission.core.sasl import Need
from submission.core.sasl.scram_keys import ScramKeys
from submission.credentials.accounts import (
    SECRET,
    AccountError,
    NoSuchUserError,
    delete,
    is_password,
    parse_login,
    set_disabled,
    set_password,
)
from submission.credentials.database import DatabaseStore
from submission.credentials.hashing import verify
from submission.credentials.sasldb2 import Sasldb2Store
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record

ALICE = Login("alice", "example.com")
SEALER = Sealer({"0a1b2c3d": bytes(range(32))})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DatabaseStore]:
    store = DatabaseStore(tmp_path / "users.db")
    yield store
    store.close()


def make(store: DatabaseStore, password: str, *, may_create: bool = True, keep_secret: bool = True) -> Record:
    set_password(store, SEALER, ALICE, password, may_create=may_create, keep_secret=keep_secret)
    record = store.read(ALICE)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("alice", ALICE),
        ("alice@example.org", Login("alice", "example.org")),
        ("alice@home@example.org", Login("alice@home", "example.org")),
        ("\uff41li\u00adce", ALICE),
        ("Alice", Login("Alice", "example.com")),
    ],
)
def test_a_login_is_parsed_and_prepared(text: str, login: Login) -> None:
    assert parse_login(text, "example.com") == login


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "alice@", "@example.com", "a\nb", "a\x00b", "a\u202eb", "\ud800", "x" * (MAX_LOGIN + 1)),
        *("\u00ad", "alice@\u00ad", "\ufdfa" * 80),  # once they are prepared, nothing or too long
    ],
)
def test_a_name_that_can_be_none_is_refused(text: str) -> None:
    with pytest.raises(AccountError, match=r"^user name: "):
        parse_login(text, "example.com")


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_any_text_is_a_login_that_is_whole_or_none(text: str) -> None:
    try:
        login = parse_login(text, "example.com")
    except AccountError:
        return
    assert login.user
    assert login.realm
    assert parse_login(str(login), "elsewhere") == login


def test_a_password_gives_a_hash_and_a_sealed_secret(store: DatabaseStore) -> None:
    record = make(store, "tanstaaf\u00aa")
    assert record.password.startswith("$argon2id$")
    assert verify("tanstaafa", record.password)
    assert SEALER.open(record.secret, ALICE, SECRET) == "tanstaafa"
    assert not record.is_disabled


@pytest.mark.parametrize("keep_secret", [True, False])
def test_a_password_gives_keys_for_scram(store: DatabaseStore, keep_secret: bool) -> None:
    record = make(store, "tanstaaf\u00aa", keep_secret=keep_secret)
    for need in (Need.SCRAM_SHA_256, Need.SCRAM_SHA_1):
        assert record.serves(need)
        keys = ScramKeys.parse(record.value(need))
        assert keys == ScramKeys.derive(b"tanstaafa", need, keys.salt)


def test_a_new_password_replaces_all_of_the_old_one(store: DatabaseStore) -> None:
    before = make(store, "tanstaaf")
    record = make(store, "another", may_create=False, keep_secret=False)
    needs = set(Need) - {Need.NOTHING}
    assert not {record.value(need) for need in needs} & {before.value(need) for need in needs}
    assert verify("another", record.password)
    assert not verify("tanstaaf", record.password)
    assert record.secret == ""


def test_nobody_is_made_who_is_not_to_be(store: DatabaseStore) -> None:
    with pytest.raises(NoSuchUserError, match=r"^alice@example\.com: no such user$"):
        make(store, "tanstaaf", may_create=False)
    assert store.read(ALICE) is None


@pytest.mark.parametrize("password", ["", "\u00ad", "secret\x00", "secret\n", "secret" * 1000, "\ud800"])
def test_a_password_that_can_be_none_is_refused_and_not_repeated(store: DatabaseStore, password: str) -> None:
    before = make(store, "tanstaaf")
    with pytest.raises(AccountError, match=r"^password: ") as caught:
        make(store, password)
    assert "secret" not in str(caught.value)
    assert store.read(ALICE) == before


def test_a_disabled_login_is_kept_so_with_a_new_password(store: DatabaseStore) -> None:
    record = make(store, "tanstaaf")
    set_disabled(store, ALICE, is_disabled=True)
    assert store.read(ALICE) == replace(record, is_disabled=True)
    assert not is_password(store, ALICE, "tanstaaf")
    assert make(store, "another").is_disabled
    set_disabled(store, ALICE, is_disabled=False)
    assert is_password(store, ALICE, "another")


def test_a_deleted_login_leaves_nothing(store: DatabaseStore) -> None:
    make(store, "tanstaaf")
    delete(store, ALICE)
    assert list(store.records()) == []


def test_what_is_done_to_nobody_is_told(store: DatabaseStore) -> None:
    for action in (
        lambda: delete(store, ALICE),
        lambda: set_disabled(store, ALICE, is_disabled=True),
        lambda: set_disabled(store, ALICE, is_disabled=False),
        lambda: is_password(store, ALICE, "tanstaaf"),
    ):
        with pytest.raises(NoSuchUserError, match=r"^alice@example\.com: no such user$"):
            action()
    assert list(store.records()) == []


def test_only_the_password_is_the_password(store: DatabaseStore) -> None:
    make(store, "tanstaafa")
    assert is_password(store, ALICE, "tanstaafa")
    assert is_password(store, ALICE, "tanstaaf\u00aa")
    for wrong in ("", "tanstaaf", "Tanstaafa", "tanstaafa\x00", "tanstaafa\n", "x" * 5000):
        assert not is_password(store, ALICE, wrong)


@pytest.fixture
def clear(tmp_path: Path) -> Sasldb2Store:
    """A store that keeps passwords in the clear: alice's is `tanstaafa`."""
    store = Sasldb2Store(tmp_path / "sasldb2")
    set_password(store, None, ALICE, "tanstaaf\u00aa", may_create=True, keep_secret=True)
    return store


def test_a_store_of_passwords_in_the_clear_gets_the_password_alone(clear: Sasldb2Store) -> None:
    assert clear.read(ALICE) == Record(ALICE, clear="tanstaafa")
    assert is_password(clear, ALICE, "tanstaaf\u00aa")
    for wrong in ("", "Tanstaafa", "tanstaafa\x00", "x" * 5000):
        assert not is_password(clear, ALICE, wrong)
    with pytest.raises(NoSuchUserError):
        set_password(clear, None, Login("bob", "example.com"), "x", may_create=False, keep_secret=True)
    delete(clear, ALICE)
    assert list(clear.records()) == []


def test_what_such_a_store_can_t_keep_is_told(clear: Sasldb2Store) -> None:
    with pytest.raises(AccountError, match="nothing would be kept"):
        set_password(clear, None, ALICE, "another", may_create=True, keep_secret=False)
    with pytest.raises(AccountError, match="can't keep that a user is disabled; delete the user"):
        set_disabled(clear, ALICE, is_disabled=True)
    set_disabled(clear, ALICE, is_disabled=False)  # as all are
    assert clear.read(ALICE) == Record(ALICE, clear="tanstaafa")
