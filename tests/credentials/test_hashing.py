import importlib.metadata
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from submission.credentials.hashing import MAX_PASSWORD, check_distributions, hash_password, prepare, verify

PASSWORD = "correct horse"
KEPT = hash_password(PASSWORD)


def test_a_hash_is_argon2id_with_costs_and_a_salt_of_its_own() -> None:
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22,}\$[A-Za-z0-9+/]{43}", KEPT)
    assert hash_password(PASSWORD) != KEPT


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40))
@example("p\u00e4ssw\u00f6rd")
@example("x" * MAX_PASSWORD)
def test_only_the_password_itself_is_right(password: str) -> None:
    kept = hash_password(password)
    assert verify(password, kept)
    assert not verify(password + "x", kept)
    assert not verify(password[:-1], kept)


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "x",
        "!",
        PASSWORD,
        "$argon2id$",
        "$argon2id$v=19$m=19456,t=2,p=1$$",
        KEPT[:-1],
        KEPT + "A",
        KEPT.replace("argon2id", "argon2i"),
        KEPT.replace("t=2", "t=1"),
        "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
        "{PLAIN}" + PASSWORD,
        "\x00",
    ],
)
def test_nothing_but_a_hash_lets_anybody_in(kept: str) -> None:
    for password in (PASSWORD, "", kept, "nobody's password"):
        assert not verify(password, kept)


@pytest.mark.parametrize("password", ["\x00", "a\x00b", "\ud800", "x" * 100_000])
def test_a_password_that_can_be_none_is_wrong_and_no_fault(password: str) -> None:
    assert not verify(password, KEPT)
    assert not verify(password, "")


def test_without_a_hash_the_time_is_spent_all_the_same() -> None:
    def cost(kept: str) -> float:
        costs = []
        for _ in range(5):
            begin = time.thread_time()
            verify("wrong", kept)
            costs.append(time.thread_time() - begin)
        return min(costs)

    assert 0.5 < cost("") / cost(KEPT) < 2


@pytest.mark.parametrize(
    ("text", "prepared"),  # the examples of RFC 4013 section 3, and a space that isn't ASCII's
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u00ad", ""),
    ],
)
def test_prepares_as_saslprep_does(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


@pytest.mark.parametrize("text", ["\x07", "\u06271", "secret\x00", "secret\n", "secret\ud800", "secret\u202e"])
def test_refuses_what_saslprep_refuses_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 4013") as caught:
        prepare(text)
    assert "secret" not in str(caught.value)


def test_bounds_a_password_in_octets() -> None:
    assert prepare("\u00e4" * (MAX_PASSWORD // 2))
    for text in ("\u00e4" * (MAX_PASSWORD // 2) + "x", "x" * 10_000_000):
        with pytest.raises(ValueError, match="longer than 1024 octets"):
            prepare(text)


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_any_text_is_prepared_or_refused(text: str) -> None:
    try:
        prepared = prepare(text)
    except ValueError:
        return
    assert not any(char < " " or char == "\x7f" for char in prepared)
    if text.isascii():
        assert prepared == text


def test_the_two_distributions_of_passlib_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    check_distributions()
    installed = [importlib.metadata.distribution("libpass"), _Distribution("passlib")]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: installed)
    with pytest.raises(RuntimeError, match="uninstall both"):
        check_distributions()


class _Distribution:
    def __init__(self, name: str) -> None:
        self.name = name
