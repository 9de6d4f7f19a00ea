import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramMechanism as Scramp

from submission.core.sasl import Need
from submission.core.sasl.scram_keys import ITERATIONS, MAX_ITERATIONS, MAX_SALT, MIN_ITERATIONS, ScramKeys

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NOTATION = (
    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
"""Of the password "pencil", as doveadm pw writes it (with RFC 7677's salt)."""
KEYS = ScramKeys.parse(NOTATION)


def test_the_notation_of_dovecot() -> None:
    assert ScramKeys.derive(b"pencil", Need.SCRAM_SHA_256, SALT, 4096) == KEYS
    assert str(KEYS) == NOTATION


@pytest.mark.parametrize("need", [Need.SCRAM_SHA_256, Need.SCRAM_SHA_1])
def test_another_implementation_derives_the_same(need: Need) -> None:
    name = need.name.replace("_", "-")
    keys = ScramKeys.derive("p\u00e4ss".encode(), need, SALT, 4097)
    assert (keys.salt, keys.stored_key, keys.server_key, keys.iterations) == Scramp(name).make_auth_info(
        "p\u00e4ss", iteration_count=4097, salt=SALT
    )
    assert str(keys).startswith(f"{{{name}}}4097,")
    assert ScramKeys.parse(str(keys)) == keys


@given(
    st.builds(
        ScramKeys,
        st.binary(min_size=1, max_size=MAX_SALT),
        st.integers(MIN_ITERATIONS, MAX_ITERATIONS),
        st.binary(min_size=20, max_size=20),
        st.binary(min_size=20, max_size=20),
    )
)
def test_what_is_written_is_read(keys: ScramKeys) -> None:
    assert ScramKeys.parse(str(keys)) == keys


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOTATION[1:],
        NOTATION + "\n",
        NOTATION + ",",
        NOTATION.replace("256", "512"),
        NOTATION.replace("SHA-256", "SHA-1"),
        NOTATION.replace("SHA-256", "SHA-256-PLUS"),
        NOTATION.replace("4096", "4095"),
        NOTATION.replace("4096", "04096"),
        NOTATION.replace("4096", "10000001"),
        NOTATION.replace("4096", "99999999999999999999"),
        NOTATION.replace("4096", "-4096"),
        NOTATION.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
        NOTATION.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6gQ"),
        NOTATION.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6gR=="),
        NOTATION.replace("W22ZaJ0SNY7soEsUEjb6gQ==", base64.b64encode(bytes(257)).decode()),
        NOTATION.replace("WG5d8oPm", ""),
        NOTATION.replace("WG5d8oPm", "\u00e9G5d8oPm"),
        NOTATION.replace("wfPLwcE6", "\u00e9fPLwcE6"),
    ],
)
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        ScramKeys.parse(text)
    assert "WG5d8oPm" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sesame", "is no SCRAM record, {SCRAM-SHA-256}iterations,salt,stored key,server key"),
        (NOTATION.replace("4096", "4095"), "must have 4096 to 10000000 iterations"),
        (NOTATION.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "x"), "must have a salt of 1 to 256 octets, in base64"),
        (NOTATION.replace("WG5d8oPm", ""), "must have keys of 32 octets, in base64"),
    ],
)
def test_what_the_admin_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        ScramKeys.parse(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(("iterations", "salt"), [(4096, 1), (10_000_000, 1), (4096, 256)])
def test_the_least_and_the_most(iterations: int, salt: int) -> None:
    keys = ScramKeys(bytes(salt), iterations, KEYS.stored_key, KEYS.server_key)
    assert ScramKeys.parse(str(keys)) == keys


def test_keys_do_not_change() -> None:
    with pytest.raises(AttributeError):
        KEYS.stored_key = b""  # type: ignore[misc]


@given(st.text() | st.text(alphabet="{}SCRAM-H26519,=4096", max_size=80))
def test_no_text_is_more_than_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        ScramKeys.parse(text)


def test_no_repr_shows_the_keys() -> None:
    assert repr(KEYS.stored_key)[2:10] not in repr(KEYS)
    assert repr(KEYS.server_key)[2:10] not in repr(KEYS)
    assert "stored_key" not in repr(KEYS)
    assert "server_key" not in repr(KEYS)


def test_new_keys_are_as_dear_as_cyrus_takes_them() -> None:
    """Its client refuses more (plugins/scram.c, MAX_ITERATION_COUNT); a peer test asks it."""
    assert 60_000 <= ITERATIONS <= 65_536
