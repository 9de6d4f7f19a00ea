"""What OAUTHBEARER and XOAUTH2 share, tried with both; how their messages are written is in their own tests."""

import json

import pytest

from submission.core.sasl import BAD_CREDENTIALS, MALFORMED, Challenge, Channel, CheckToken, Failure, Success
from submission.core.sasl.bearer import BearerMechanism
from submission.core.sasl.oauthbearer import OauthBearerMechanism
from submission.core.sasl.xoauth2 import Xoauth2Mechanism

CHANNEL = Channel(b"", scope="mail", openid_configuration="https://id.example.com/.well-known/openid-configuration")
MESSAGES: dict[type[BearerMechanism], bytes] = {
    OauthBearerMechanism: b"n,a=alice,\x01auth=Bearer abc\x01\x01",
    Xoauth2Mechanism: b"user=alice\x01auth=Bearer abc\x01\x01",
}
both = pytest.mark.parametrize("kind", MESSAGES)


def asked(kind: type[BearerMechanism]) -> BearerMechanism:
    mechanism = kind(CHANNEL)
    assert mechanism.start(MESSAGES[kind]) == CheckToken("alice", "abc")
    return mechanism


@both
def test_without_an_initial_response_the_challenge_is_empty(kind: type[BearerMechanism]) -> None:
    mechanism = kind(CHANNEL)
    assert mechanism.start(None) == Challenge(b"")
    assert mechanism.respond(MESSAGES[kind]) == CheckToken("alice", "abc")


@both
def test_the_issuer_decides(kind: type[BearerMechanism]) -> None:
    assert asked(kind).resolve(True) == Success("alice")


@both
@pytest.mark.parametrize("answer", [False, None, b"", b"\x01", 1])
@pytest.mark.parametrize("response", [b"\x01", b"", b"anything", b"n,a=alice,\x01auth=Bearer abc\x01\x01"])
def test_behind_a_refusal_comes_the_end_whatever_the_client_says(
    kind: type[BearerMechanism], answer: object, response: bytes
) -> None:
    mechanism = asked(kind)
    assert isinstance(mechanism.resolve(answer), Challenge)
    assert mechanism.respond(response) == Failure(BAD_CREDENTIALS, "alice")


@both
def test_a_yes_counts_once_and_only_after_a_question(kind: type[BearerMechanism]) -> None:
    assert kind(CHANNEL).resolve(True) == Failure(MALFORMED)
    mechanism = asked(kind)
    mechanism.resolve(False)
    assert mechanism.resolve(True) == Failure(MALFORMED)


def refusal(kind: type[BearerMechanism], channel: Channel) -> object:
    mechanism = kind(channel)
    mechanism.start(MESSAGES[kind])
    step = mechanism.resolve(False)
    assert isinstance(step, Challenge)
    return json.loads(step.data)


def test_what_the_client_is_told() -> None:
    assert refusal(OauthBearerMechanism, CHANNEL) == {
        "status": "invalid_token",
        "scope": "mail",
        "openid-configuration": "https://id.example.com/.well-known/openid-configuration",
    }
    assert refusal(OauthBearerMechanism, Channel(b"")) == {"status": "invalid_token"}
    assert refusal(Xoauth2Mechanism, CHANNEL) == {"status": "401", "schemes": "Bearer", "scope": "mail"}
    assert refusal(Xoauth2Mechanism, Channel(b"")) == {"status": "401", "schemes": "Bearer"}


@both
def test_nothing_prints_the_token(kind: type[BearerMechanism]) -> None:
    step = kind(CHANNEL).start(MESSAGES[kind])
    credentials = kind.parse(MESSAGES[kind])
    assert isinstance(step, CheckToken)
    assert credentials is not None
    assert credentials.token == step.token == "abc"
    assert "abc" not in repr(step) + repr(credentials)
