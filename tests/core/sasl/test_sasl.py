"""The steps, questions and words that every mechanism speaks in."""

import dataclasses

import pytest

from submission.core.sasl import (
    AUTHZID_REFUSED,
    BAD_CREDENTIALS,
    BINDING_REFUSED,
    MALFORMED,
    MAX_RESPONSE,
    Challenge,
    Channel,
    CheckCertificate,
    CheckPassword,
    CheckToken,
    Failure,
    FetchKeys,
    FetchSecret,
    Need,
    Success,
)

VALUES = [
    Channel(b"sesame"),
    Challenge(b"x"),
    CheckPassword("alice", "sesame"),
    FetchSecret("alice"),
    FetchKeys("alice", Need.SCRAM_SHA_256),
    CheckToken("alice", "sesame"),
    CheckCertificate("alice"),
    Success("alice"),
    Failure(MALFORMED, "alice"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_was_said_stays_said_and_no_secret_of_it_is_shown(value: object) -> None:
    assert "sesame" not in repr(value)
    field = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        setattr(value, field, "mallory")


def test_of_a_new_channel_nothing_is_known() -> None:
    assert Channel(b"x") == Channel(b"x", "", None, False, "", "")


def test_a_failure_without_a_name_is_nobody_s() -> None:
    assert Failure(MALFORMED) == Failure(MALFORMED, "")


def test_reasons_are_words_of_the_log() -> None:
    reasons = (BAD_CREDENTIALS, MALFORMED, AUTHZID_REFUSED, BINDING_REFUSED)
    assert reasons == ("bad-credentials", "malformed", "authzid-refused", "binding-refused")


def test_a_line_may_be_as_long_as_the_rfc_asks_for() -> None:
    assert MAX_RESPONSE == 12288  # RFC 4954 section 4
