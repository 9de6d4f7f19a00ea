import pytest

from submission.core.sasl import AUTHZID_REFUSED, MALFORMED, Challenge, Channel, CheckPassword, Failure, Step
from submission.core.sasl.decoding import MAX_NAME
from submission.core.sasl.plain import PlainMechanism


def start(initial: bytes | None) -> Step:
    return PlainMechanism(Channel(b"")).start(initial)


def test_examples_of_rfc_4616() -> None:
    assert start(b"\0tim\0tanstaaftanstaaf") == CheckPassword("tim", "tanstaaftanstaaf")
    assert start(b"Ursel\0Kurt\0xipj3plmq") == Failure(AUTHZID_REFUSED, "Kurt")


def test_without_an_initial_response_the_challenge_is_empty() -> None:
    mechanism = PlainMechanism(Channel(b""))
    assert mechanism.start(None) == Challenge(b"")
    assert mechanism.respond(b"\0tim\0tanstaaftanstaaf") == CheckPassword("tim", "tanstaaftanstaaf")


def test_an_authorization_identity_may_repeat_the_name_and_nothing_else() -> None:
    assert start(b"tim\0tim\0secret") == CheckPassword("tim", "secret")
    for other in (b"Tim", b"tim ", b"tim@example.com", b"\xff", b"t" * 5000):
        assert start(other + b"\0tim\0secret") == Failure(AUTHZID_REFUSED, "tim")


def test_utf8() -> None:
    assert start("\0bjørn\0密码".encode()) == CheckPassword("bjørn", "密码")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"tim",
        b"\0tim",
        b"\0tim\0secret\0",
        b"\0tim\0sec\0ret",
        b"tim\0\0tim\0secret",
        b"\0\0",
        b"\0\0secret",
        b"\0t\xffm\0secret",
        b"\0" + b"t" * (MAX_NAME + 1) + b"\0secret",
    ],
)
def test_malformed_messages_fail_without_a_name(message: bytes) -> None:
    assert start(message) == Failure(MALFORMED)
