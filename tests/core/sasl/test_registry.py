"""What holds for each mechanism: any bytes give a step, and nobody gets in without a proof."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl import (
    Answer,
    Challenge,
    Channel,
    CheckToken,
    Failure,
    FetchKeys,
    Need,
    Question,
    Step,
    Success,
)
from submission.core.sasl.registry import MECHANISMS, USUAL, make_nonce, works_without_tls
from submission.core.sasl.scram_keys import ScramKeys

NONCE = make_nonce(bytes(range(16)), 1795234567.9, "mail.example.com")
CHANNEL = Channel(NONCE, "example.com", bytes(32))

BEARER = (b"n,a=alice,", b"user=alice", b"auth=Bearer abc")

# Anything at all, and things that come near to a message of some mechanism.
PROOFS = [b",p=" + b"A" * 43 + b"=", b",p=" + b"A" * 27 + b"="]
SCRAM = [b"n,,", b"y,,", b"p=tls-server-end-point,,", b"a=alice,", b"n=alice,", b"r=x", b"r=x" + NONCE, b"c=biws,"]
DIGEST = [b'username="alice"', b'nonce="' + NONCE + b'"', b"nc=00000001", b"cnonce=x", b'digest-uri="smtp/x"']
RESPONSES = (
    st.binary(max_size=64)
    | st.builds(
        lambda parts, joint: joint.join(parts),
        st.lists(st.sampled_from([b"", b"alice", b"secret", b"0" * 32, b"\xff", b"\0", *BEARER]), max_size=5),
        st.sampled_from([b"\0", b" ", b"", b"\x01"]),
    )
    | st.lists(st.sampled_from([*SCRAM, *PROOFS]), max_size=6).map(b"".join)
    | st.permutations([*DIGEST, b"response=" + b"0" * 32]).map(b",".join)
    | st.just(b"n,,n=alice,r=x")
    | st.just(b"p=tls-server-end-point,,n=alice,r=x")
    | st.just(b"c=biws,r=x" + NONCE + PROOFS[0])
    | st.just(b"n,a=alice,\x01auth=Bearer abc\x01\x01")
    | st.just(b"user=alice\x01auth=Bearer abc\x01\x01")
)
ANSWERS: st.SearchStrategy[Answer] = (
    st.sampled_from([False, None, b"", b"guess"])
    | st.binary(max_size=80)
    | st.builds(ScramKeys, st.binary(min_size=1), st.integers(4096, 9999), st.binary(), st.binary())
)


def test_names() -> None:
    assert list(MECHANISMS) == [
        *("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"),
        *("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"),
        *("EXTERNAL", "OAUTHBEARER", "XOAUTH2"),
    ]
    assert all(name == mechanism.NAME for name, mechanism in MECHANISMS.items())
    assert set(USUAL) < set(MECHANISMS)


def test_what_is_sent() -> None:
    sending = ("PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2")
    assert {name: mechanism.SENDS_PASSWORD for name, mechanism in MECHANISMS.items()} == {
        name: name in sending for name in MECHANISMS
    }


def test_what_is_needed() -> None:
    assert {name: mechanism.NEED for name, mechanism in MECHANISMS.items()} == {
        **dict.fromkeys(["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], Need.SCRAM_SHA_256),
        **dict.fromkeys(["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], Need.SCRAM_SHA_1),
        **dict.fromkeys(["PLAIN", "LOGIN"], Need.PASSWORD),
        **dict.fromkeys(["CRAM-MD5", "DIGEST-MD5"], Need.SECRET),
        **dict.fromkeys(["EXTERNAL", "OAUTHBEARER", "XOAUTH2"], Need.NOTHING),
    }


def test_what_works_without_tls() -> None:
    assert [name for name in MECHANISMS if works_without_tls(name)] == [
        *("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "DIGEST-MD5")
    ]


def test_a_nonce_holds_randomness_time_and_host() -> None:
    assert NONCE == b"000102030405060708090a0b0c0d0e0f.1795234567@mail.example.com"


@given(st.binary(min_size=16, max_size=32), st.floats(0, 1e11))
def test_a_nonce_is_a_message_identifier(random: bytes, now: float) -> None:
    """RFC 2195 section 2 asks for the form of an RFC 822 msg-id."""
    assert re.fullmatch(rb"[0-9a-f]{32,}\.[0-9]+@mail\.example\.com", make_nonce(random, now, "mail.example.com"))


@pytest.mark.parametrize("name", MECHANISMS)
@given(initial=st.none() | RESPONSES, responses=st.lists(RESPONSES, min_size=4, max_size=4), answer=ANSWERS)
def test_no_bytes_raise_and_none_get_in(
    name: str, initial: bytes | None, responses: list[bytes], answer: Answer
) -> None:
    mechanism = MECHANISMS[name](CHANNEL)
    step: Step = mechanism.start(initial)
    for response in responses:
        if isinstance(step, Question):
            asked, step = step, mechanism.resolve(answer)
            if isinstance(asked, CheckToken):  # the client is told why
                assert isinstance(step, Challenge)
            elif not isinstance(asked, FetchKeys):
                assert step == Failure("bad-credentials", asked.name)
        if isinstance(step, Challenge):
            step = mechanism.respond(response)
    if isinstance(step, Question):
        step = mechanism.resolve(None)
    if isinstance(step, Challenge):
        step = mechanism.respond(b"\x01")
    assert isinstance(step, Failure)


@pytest.mark.parametrize("name", MECHANISMS)
@given(calls=st.lists(st.sampled_from(["start", "respond", "resolve"]), max_size=8), data=st.data())
def test_calls_out_of_order_do_no_harm(name: str, calls: list[str], data: st.DataObject) -> None:
    mechanism = MECHANISMS[name](CHANNEL)
    for call in calls:
        argument = data.draw(ANSWERS if call == "resolve" else RESPONSES)
        assert not isinstance(getattr(mechanism, call)(argument), Success)
