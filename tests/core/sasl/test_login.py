import pytest

from submission.core.sasl import MALFORMED, Challenge, Channel, CheckPassword, Failure
from submission.core.sasl.login import LoginMechanism

NAME_PROMPT = Challenge(b"Username:")
PASSWORD_PROMPT = Challenge(b"Password:")


def test_nothing_inline() -> None:
    mechanism = LoginMechanism(Channel(b""))
    assert mechanism.start(None) == NAME_PROMPT
    assert mechanism.respond(b"alice") == PASSWORD_PROMPT
    assert mechanism.respond(b"secret") == CheckPassword("alice", "secret")


def test_name_inline() -> None:
    mechanism = LoginMechanism(Channel(b""))
    assert mechanism.start(b"alice") == PASSWORD_PROMPT
    assert mechanism.respond(b"secret") == CheckPassword("alice", "secret")


def test_name_and_password_inline() -> None:
    assert LoginMechanism(Channel(b"")).start(b"alice\0secret") == CheckPassword("alice", "secret")


@pytest.mark.parametrize("initial", [b"", b"\0secret", b"\xff", b"\xff\0secret"])
def test_an_initial_response_without_a_name_fails(initial: bytes) -> None:
    assert LoginMechanism(Channel(b"")).start(initial) == Failure(MALFORMED)


@pytest.mark.parametrize("initial", [b"alice\0", b"alice\0sec\0ret", b"alice\0\xff"])
def test_an_inline_password_is_as_strict_as_another(initial: bytes) -> None:
    assert LoginMechanism(Channel(b"")).start(initial) == Failure(MALFORMED, "alice")


@pytest.mark.parametrize("name", [b"", b"al\0ice", b"\xff"])
def test_a_name_has_to_be_text(name: bytes) -> None:
    mechanism = LoginMechanism(Channel(b""))
    mechanism.start(None)
    assert mechanism.respond(name) == Failure(MALFORMED)


@pytest.mark.parametrize("password", [b"", b"sec\0ret", b"\xff"])
def test_a_password_has_to_be_text(password: bytes) -> None:
    mechanism = LoginMechanism(Channel(b""))
    mechanism.start(b"alice")
    assert mechanism.respond(password) == Failure(MALFORMED, "alice")


def test_an_answer_counts_for_nothing_before_a_question() -> None:
    assert LoginMechanism(Channel(b"")).resolve(True) == Failure(MALFORMED)
