import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.leaks import MIN_LENGTH, SecretFinder

SECRET = b"Gr\xc3\xbcn-42!"


def finds(secret: bytes, *pieces: bytes) -> bool:
    finder = SecretFinder(secret)
    return any(finder.feed(piece) for piece in pieces)


@given(st.binary(max_size=60), st.binary(max_size=60), st.data())
def test_it_is_found_however_the_message_is_cut(before: bytes, after: bytes, data: st.DataObject) -> None:
    for message in (before + SECRET + after, base64.b64encode(before + SECRET + after)):
        places = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=6)))
        pieces = [message[start:end] for start, end in zip([0, *places], [*places, len(message)], strict=True)]
        assert finds(SECRET, *pieces)


def test_octet_by_octet() -> None:
    assert finds(SECRET, *(bytes([octet]) for octet in b"say " + SECRET + b"."))
    assert not finds(SECRET, *(bytes([octet]) for octet in b"say " + SECRET[:-1] + b"."))


@pytest.mark.parametrize("secret", [b"", b"a", b"x" * (MIN_LENGTH - 1)])
def test_what_is_in_every_other_message_is_not_looked_for(secret: bytes) -> None:
    assert not finds(secret, b"a" + b"x" * 100)


def test_what_is_not_found() -> None:
    """As the module says: a pinned limit, so that nobody promises more."""
    for message in (SECRET[:4] + b"\r\n" + SECRET[4:], SECRET[:4] + b"=\r\n" + SECRET[4:], b"Gr=C3=BCn-42!"):
        assert not finds(SECRET, message)


def test_it_shows_no_secret() -> None:
    assert "Gr" not in repr(SecretFinder(SECRET))
