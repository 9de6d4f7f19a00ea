import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.addresses import NULL, parse_mailbox
from submission.core.app_passwords import (
    RANDOM,
    AppPassword,
    allows_sender,
    check_label,
    digest,
    find,
    write_out,
)

PASSWORD = write_out(bytes(range(RANDOM)))


@given(st.binary(min_size=RANDOM, max_size=RANDOM))
def test_one_is_five_groups_of_letters_that_are_not_mistaken(random: bytes) -> None:
    assert re.fullmatch(r"[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){4}", write_out(random))


def test_each_of_a_hundred_bits_counts() -> None:
    seen = {write_out((1 << bit).to_bytes(RANDOM)) for bit in range(100)}
    assert len(seen) == 100


def test_however_it_is_typed_it_is_the_same() -> None:
    kept = [AppPassword("other", digest(write_out(bytes(RANDOM)))), AppPassword("printer", digest(PASSWORD))]
    for typed in (PASSWORD, PASSWORD.upper(), PASSWORD.replace("-", ""), PASSWORD.replace("-", " ")):
        assert find(kept, typed) == kept[1]
    for typed in ("", PASSWORD[:-1], PASSWORD + "a", PASSWORD[:-1] + "\u00df", "x" * 20, "sesame", kept[1].digest):
        assert find(kept, typed) is None
    assert find([AppPassword("empty", "")], "sesame") is None
    assert [digest(typed) for typed in ("", "sesame", PASSWORD + "a", "\u00df" * 20)] == [""] * 4


@pytest.mark.parametrize(
    ("address", "now", "is_good"),
    [
        ("192.0.2.7", 99.0, True),
        ("192.0.2.7", 100.0, False),
        ("192.0.3.7", 99.0, False),
        ("2001:db8::1", 99.0, True),
        ("2001:db9::1", 99.0, False),
        ("", 99.0, False),
    ],
)
def test_where_and_until_when_one_is_good(address: str, now: float, is_good: bool) -> None:
    limited = AppPassword("printer", "x", expires=100.0, networks=("192.0.2.0/24", "2001:db8::/32"))
    assert limited.is_good(address, now) is is_good
    assert AppPassword("phone", "x").is_good(address, now)


@pytest.mark.parametrize(
    ("sender", "allowed"),
    [
        (b"scan@example.com", True),
        (b"Scan@EXAMPLE.com", True),
        (b"anybody@list.example.com", True),
        (b"boss@example.com", False),
        (b"scan@example.com.evil.example", False),
        (b"x@sub.list.example.com", False),
        (b"list.example.com", False),
    ],
)
def test_as_whom_one_may_send(sender: bytes, allowed: bool) -> None:
    mailbox = parse_mailbox(sender)
    assert mailbox is not None
    assert allows_sender(("scan@example.com", "@list.example.com"), mailbox) is allowed
    assert allows_sender((), mailbox)


def test_the_null_sender_needs_one_without_limits() -> None:
    assert allows_sender((), NULL)
    assert not allows_sender(("@example.com",), NULL)


def test_what_is_kept_comes_back() -> None:
    full = AppPassword("printer", "0f", 1.0, 2.0, ("192.0.2.0/24",), ("@example.com",), 3.0)
    assert AppPassword.decode("printer", full.encode()) == full
    assert "0f" not in repr(full)


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"digest":"x"}', "null"])
def test_what_is_not_ours_is_none(text: str) -> None:
    assert AppPassword.decode("x", text) is None


def test_a_network_that_is_none_is_no_way_around_it() -> None:
    full = AppPassword("printer", "0f", networks=("192.0.2.0/24",)).encode()
    assert AppPassword.decode("printer", full.replace("192.0.2.0/24", "anywhere")) is None


@pytest.mark.parametrize("label", ["", " x", "a\nb", "x" * 65, 'a"b'])
def test_labels_that_can_be_none(label: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 64"):
        check_label(label)


def test_labels() -> None:
    for label in ("printer", "Drucker Büro 2", "a.b_c+d-e"):
        check_label(label)
