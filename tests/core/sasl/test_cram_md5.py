import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl import BAD_CREDENTIALS, MALFORMED, Challenge, Channel, Failure, FetchSecret, Success
from submission.core.sasl.cram_md5 import CramMd5Mechanism
from submission.core.sasl.decoding import MAX_NAME

# RFC 2195, section 2
NONCE = b"1896.697170952@postoffice.reston.mci.net"
SECRET = b"tanstaaftanstaaf"
DIGEST = b"b913a602c7eda7a495b4e6e7334d3890"


def challenged(nonce: bytes = NONCE) -> CramMd5Mechanism:
    mechanism = CramMd5Mechanism(Channel(nonce))
    assert mechanism.start(None) == Challenge(b"<" + nonce + b">")
    return mechanism


def test_example_of_rfc_2195() -> None:
    mechanism = challenged()
    assert mechanism.respond(b"tim " + DIGEST) == FetchSecret("tim")
    assert mechanism.resolve(SECRET) == Success("tim")


@pytest.mark.parametrize("answer", [b"tanstaaftanstaa", b"", None, True, False])
def test_another_answer_of_the_store_is_bad_credentials(answer: bytes | bool | None) -> None:
    mechanism = challenged()
    mechanism.respond(b"tim " + DIGEST)
    assert mechanism.resolve(answer) == Failure(BAD_CREDENTIALS, "tim")


@given(st.binary(min_size=1, max_size=32))
def test_no_constant_key_logs_an_unknown_name_in(nonce: bytes) -> None:
    """Whoever reads this source knows the key that stands in for a missing secret, and can answer with it."""
    for key, answer in itertools.product((b"", b"nobody's secret"), (None, b"")):
        mechanism = challenged(nonce)
        digest = hmac.new(key, b"<" + nonce + b">", "md5").hexdigest().encode()
        mechanism.respond(b"nobody " + digest)
        assert mechanism.resolve(answer) == Failure(BAD_CREDENTIALS, "nobody")


@pytest.mark.parametrize("answer", [b"", None, True])
def test_without_a_secret_no_digest_is_right(answer: bytes | bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    mechanism = challenged()
    mechanism.respond(b"tim " + DIGEST)
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: True)
    assert mechanism.resolve(answer) == Failure(BAD_CREDENTIALS, "tim")


def test_a_digest_is_good_for_its_own_challenge_only() -> None:
    mechanism = challenged(b"another." + NONCE)
    mechanism.respond(b"tim " + DIGEST)
    assert mechanism.resolve(SECRET) == Failure(BAD_CREDENTIALS, "tim")


def test_a_secret_counts_once_and_only_after_a_question() -> None:
    assert challenged().resolve(SECRET) == Failure(MALFORMED)
    mechanism = challenged()
    mechanism.respond(b"tim " + DIGEST)
    mechanism.resolve(None)
    assert mechanism.resolve(SECRET) == Failure(MALFORMED)


@pytest.mark.parametrize("initial", [b"", b"tim " + DIGEST])
def test_there_is_no_initial_response(initial: bytes) -> None:
    assert CramMd5Mechanism(Channel(NONCE)).start(initial) == Failure(MALFORMED)


def test_a_name_may_hold_blanks() -> None:
    assert challenged().respond(b" tim o'tay  " + DIGEST) == FetchSecret(" tim o'tay ")


@pytest.mark.parametrize(
    "digest", [b"", DIGEST.upper(), DIGEST[1:], DIGEST + b"0", DIGEST + b"\n", DIGEST[:-1] + b"g", b"\xff" * 32]
)
def test_a_digest_is_32_lower_case_digits(digest: bytes) -> None:
    assert challenged().respond(b"tim " + digest) == Failure(MALFORMED, "tim")


@pytest.mark.parametrize(
    "user", [b"", b"t\0m", b"t\xffm", b"t" * (MAX_NAME + 1)], ids=["empty", "nul", "not UTF-8", "long"]
)
def test_a_name_has_to_be_text(user: bytes) -> None:
    assert challenged().respond(user + b" " + DIGEST) == Failure(MALFORMED)
    assert challenged().respond(user + DIGEST[:1]) == Failure(MALFORMED)


def test_a_digest_alone_is_no_answer() -> None:
    assert challenged().respond(DIGEST) == Failure(MALFORMED)
