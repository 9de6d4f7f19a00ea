"""Keys that nobody can tell from others, and that nobody can log in with."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl import Need
from submission.core.sasl.scram_keys import ITERATIONS, ScramKeys
from submission.credentials.scram import Decoys, make_keys

NEEDS = [Need.SCRAM_SHA_256, Need.SCRAM_SHA_1]
DECOYS = Decoys(bytes(range(32)))


@pytest.mark.parametrize("need", NEEDS)
def test_new_keys_are_the_password_s_with_a_salt_of_their_own(need: Need) -> None:
    one, other = (ScramKeys.parse(make_keys("tanstaaf", need)) for _ in range(2))
    assert one == ScramKeys.derive(b"tanstaaf", need, one.salt, ITERATIONS)
    assert one.salt != other.salt


@pytest.mark.parametrize("need", NEEDS)
def test_a_decoy_has_the_form_of_new_keys(need: Need) -> None:
    new, decoy = ScramKeys.parse(make_keys("tanstaaf", need)), DECOYS.keys("mallory@example.com", need)
    assert decoy.iterations == new.iterations
    for name in ("salt", "stored_key", "server_key"):
        assert len(getattr(decoy, name)) == len(getattr(new, name))
    assert ScramKeys.parse(str(decoy)) == decoy


@given(st.text(), st.text(), st.sampled_from(NEEDS))
def test_a_decoy_is_the_same_each_time_and_another_for_another(one: str, other: str, need: Need) -> None:
    decoy = DECOYS.keys(one, need)
    assert Decoys(bytes(range(32))).keys(one, need) == decoy
    assert (DECOYS.keys(other, need).salt == decoy.salt) is (one == other)
    assert Decoys(bytes(32)).keys(one, need).salt != decoy.salt


def test_hashes_have_salts_of_their_own() -> None:
    assert len({DECOYS.keys("alice@example.com", need).salt for need in NEEDS}) == 2


def test_a_name_that_is_no_text_has_a_decoy() -> None:
    assert base64.b64encode(DECOYS.keys("\ud800", Need.SCRAM_SHA_1).salt)
