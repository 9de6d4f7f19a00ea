import pytest

from submission.core.sasl import BAD_CREDENTIALS, MALFORMED, Challenge, Channel, CheckCertificate, Failure, Success
from submission.core.sasl.decoding import MAX_NAME
from submission.core.sasl.external import ExternalMechanism


def asked(message: bytes = b"fred@example.com") -> ExternalMechanism:
    mechanism = ExternalMechanism(Channel(b""))
    assert mechanism.start(message) == CheckCertificate(message.decode())
    return mechanism


def test_examples_of_rfc_4422() -> None:
    """Appendix A.2: with an authorization identity, and without one."""
    assert asked(b"fred@example.com").resolve(True) == Success("fred@example.com")
    assert asked(b"").resolve(True) == Success("")


def test_without_an_initial_response_the_challenge_is_empty() -> None:
    mechanism = ExternalMechanism(Channel(b""))
    assert mechanism.start(None) == Challenge(b"")
    assert mechanism.respond(b"") == CheckCertificate("")


@pytest.mark.parametrize("message", [b"\0", b"fr\0ed", b"\xff", b"f" * (MAX_NAME + 1)])
def test_malformed_messages(message: bytes) -> None:
    assert ExternalMechanism(Channel(b"")).start(message) == Failure(MALFORMED)


@pytest.mark.parametrize("answer", [False, None, b"", b"\x01", 1])
def test_only_true_is_a_yes(answer: object) -> None:
    assert asked().resolve(answer) == Failure(BAD_CREDENTIALS, "fred@example.com")


def test_a_yes_counts_once_and_only_after_a_question() -> None:
    assert ExternalMechanism(Channel(b"")).resolve(True) == Failure(MALFORMED)
    mechanism = asked()
    mechanism.resolve(False)
    assert mechanism.resolve(True) == Failure(MALFORMED)
