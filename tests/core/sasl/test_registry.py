"""What holds for each mechanism: any bytes give a step, and nobody gets in without a proof."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl import Challenge, Channel, Failure, Need, Step, Success
from submission.core.sasl.registry import MECHANISMS, USUAL, make_nonce

NONCE = make_nonce(bytes(range(16)), 1795234567.9, "mail.example.com")

BEARER = (b"n,a=alice,", b"user=alice", b"auth=Bearer abc")

# Anything at all, and things that come near to a message of some mechanism.
RESPONSES = st.binary(max_size=64) | st.builds(
    lambda parts, joint: joint.join(parts),
    st.lists(st.sampled_from([b"", b"alice", b"secret", b"0" * 32, b"\xff", b"\0", *BEARER]), max_size=5),
    st.sampled_from([b"\0", b" ", b"", b"\x01"]),
)


def test_names() -> None:
    assert list(MECHANISMS) == ["PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", "OAUTHBEARER", "XOAUTH2"]
    assert set(USUAL) <= set(MECHANISMS)
    assert all(name == mechanism.NAME for name, mechanism in MECHANISMS.items())


def test_what_is_sent_and_what_is_stored() -> None:
    assert {name: (mechanism.SENDS_PASSWORD, mechanism.NEED) for name, mechanism in MECHANISMS.items()} == {
        "PLAIN": (True, Need.PASSWORD),
        "LOGIN": (True, Need.PASSWORD),
        "CRAM-MD5": (False, Need.SECRET),
        "EXTERNAL": (False, Need.NOTHING),
        "OAUTHBEARER": (True, Need.NOTHING),
        "XOAUTH2": (True, Need.NOTHING),
    }


def test_a_nonce_holds_randomness_time_and_host() -> None:
    assert NONCE == b"000102030405060708090a0b0c0d0e0f.1795234567@mail.example.com"


@given(st.binary(min_size=16, max_size=32), st.floats(0, 1e11))
def test_a_nonce_is_a_message_identifier(random: bytes, now: float) -> None:
    """RFC 2195 section 2 asks for the form of an RFC 822 msg-id."""
    assert re.fullmatch(rb"[0-9a-f]{32,}\.[0-9]+@mail\.example\.com", make_nonce(random, now, "mail.example.com"))


@pytest.mark.parametrize("name", MECHANISMS)
@given(
    initial=st.none() | RESPONSES,
    responses=st.lists(RESPONSES, min_size=4, max_size=4),
    answer=st.sampled_from([False, None, b"", b"guess"]) | st.binary(max_size=80),
)
def test_no_bytes_raise_and_none_get_in(
    name: str, initial: bytes | None, responses: list[bytes], answer: bool | bytes | None
) -> None:
    mechanism = MECHANISMS[name](Channel(NONCE))
    step: Step = mechanism.start(initial)
    for response in responses:
        if isinstance(step, Challenge):
            step = mechanism.respond(response)
    if not isinstance(step, (Challenge, Success, Failure)):
        asked, step = step, mechanism.resolve(answer)
        if isinstance(step, Challenge):  # why the token is refused
            step = mechanism.respond(responses[0])
        assert step == Failure("bad-credentials", asked.name)
    assert isinstance(step, Failure)


@pytest.mark.parametrize("name", MECHANISMS)
@given(calls=st.lists(st.tuples(st.sampled_from(["start", "respond", "resolve"]), RESPONSES), max_size=8))
def test_calls_out_of_order_do_no_harm(name: str, calls: list[tuple[str, bytes]]) -> None:
    mechanism = MECHANISMS[name](Channel(NONCE))
    for call, argument in calls:
        assert not isinstance(getattr(mechanism, call)(argument), Success)
