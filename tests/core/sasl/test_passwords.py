"""What PLAIN and LOGIN share, tried through PLAIN; their own dialogues are in test_plain.py and test_login.py."""

import pytest

from submission.core.sasl import BAD_CREDENTIALS, MALFORMED, Channel, CheckPassword, Failure, Success
from submission.core.sasl.decoding import MAX_PASSWORD
from submission.core.sasl.plain import PlainMechanism


def asked() -> PlainMechanism:
    mechanism = PlainMechanism(Channel(b""))
    assert mechanism.start(b"\0tim\0tanstaaftanstaaf") == CheckPassword("tim", "tanstaaftanstaaf")
    return mechanism


def test_the_store_decides() -> None:
    assert asked().resolve(True) == Success("tim")
    assert asked().resolve(False) == Failure(BAD_CREDENTIALS, "tim")


@pytest.mark.parametrize("answer", [None, b"", b"tanstaaftanstaaf", b"\x01"])
def test_only_true_is_a_yes(answer: bytes | None) -> None:
    assert asked().resolve(answer) == Failure(BAD_CREDENTIALS, "tim")


def test_a_yes_counts_once_and_only_after_a_question() -> None:
    assert PlainMechanism(Channel(b"")).resolve(True) == Failure(MALFORMED)
    mechanism = asked()
    mechanism.resolve(False)
    assert mechanism.resolve(True) == Failure(MALFORMED)


@pytest.mark.parametrize("password", [b"", b"\xff", b"p" * (MAX_PASSWORD + 1)])
def test_no_password_no_question(password: bytes) -> None:
    assert PlainMechanism(Channel(b"")).start(b"\0tim\0" + password) == Failure(MALFORMED, "tim")


def test_no_repr_shows_the_password() -> None:
    assert "tanstaaf" not in repr(PlainMechanism(Channel(b"")).start(b"\0tim\0tanstaaftanstaaf"))
