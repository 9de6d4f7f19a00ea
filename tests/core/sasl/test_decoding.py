import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl.decoding import MAX_NAME, MAX_PASSWORD, decode_base64, decode_name, decode_password


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=100))
def test_text_comes_back_as_it_was_typed(text: str) -> None:
    assert decode_name(text.encode()) == text
    assert decode_password(text.encode()) == text


@pytest.mark.parametrize("data", [b"", b"\0", b"a\0", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xc3"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    assert decode_name(data) is None
    assert decode_password(data) is None


def test_the_bounds_are_octets() -> None:
    assert decode_name(b"n" * MAX_NAME) is not None
    assert decode_name(b"n" * (MAX_NAME + 1)) is None
    assert decode_name("é".encode() * (MAX_NAME // 2 + 1)) is None
    assert decode_password(b"p" * MAX_PASSWORD) is not None
    assert decode_password(b"p" * (MAX_PASSWORD + 1)) is None


@given(st.binary(max_size=100))
def test_base64_comes_back(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data)) == data


@pytest.mark.parametrize("text", [b"a", b"YQ", b"YR==", b"YQ==YQ==", b"YQ=", b" YQ==", b"YQ==\n", b"Y-Q=", b"\xff"])
def test_base64_has_one_way_to_write_it(text: bytes) -> None:
    assert decode_base64(text) is None
