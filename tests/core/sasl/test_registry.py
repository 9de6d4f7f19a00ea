"""What holds for each mechanism: any bytes give a step, and nobody gets in without a proof."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl import Challenge, Channel, CheckPassword, Failure, FetchSecret, Need, Step, Success
from submission.core.sasl.registry import MECHANISMS, make_nonce

NONCE = make_nonce(bytes(range(16)), 1795234567.9, "mail.example.com")

# Anything at all, and things that come near to a message of some mechanism.
RESPONSES = st.binary(max_size=64) | st.builds(
    lambda parts, joint: joint.join(parts),
    st.lists(st.sampled_from([b"", b"alice", b"secret", b"0" * 32, b"\xff", b"\0"]), max_size=4),
    st.sampled_from([b"\0", b" ", b""]),
)


def test_names() -> None:
    assert list(MECHANISMS) == ["PLAIN", "LOGIN", "CRAM-MD5"]
    assert all(name == mechanism.NAME for name, mechanism in MECHANISMS.items())


def test_a_mechanism_either_sends_the_password_or_needs_it_stored() -> None:
    assert [mechanism.SENDS_PASSWORD for mechanism in MECHANISMS.values()] == [True, True, False]
    assert [mechanism.NEED for mechanism in MECHANISMS.values()] == [Need.PASSWORD, Need.PASSWORD, Need.SECRET]


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
    if isinstance(step, (CheckPassword, FetchSecret)):
        asked, step = step, mechanism.resolve(answer)
        assert step == Failure("bad-credentials", asked.name)
    assert isinstance(step, Failure)


@pytest.mark.parametrize("name", MECHANISMS)
@given(calls=st.lists(st.tuples(st.sampled_from(["start", "respond", "resolve"]), RESPONSES), max_size=8))
def test_calls_out_of_order_do_no_harm(name: str, calls: list[tuple[str, bytes]]) -> None:
    mechanism = MECHANISMS[name](Channel(NONCE))
    for call, argument in calls:
        assert not isinstance(getattr(mechanism, call)(argument), Success)
