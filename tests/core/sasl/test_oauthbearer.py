import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl.bearer import Credentials
from submission.core.sasl.decoding import MAX_NAME
from submission.core.sasl.oauthbearer import OauthBearerMechanism

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
parse = OauthBearerMechanism.parse


def test_the_examples_of_rfc_7628() -> None:
    """Section 4.1, and 4.3 whose token's scope is wrong: that isn't for the parser to see."""
    message = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    assert parse(message) == Credentials("user@example.com", TOKEN)
    message = message.replace(b"\x01port=143", b"").replace(b"server", b"smtp").replace(b"host=", b"port=587\x01host=")
    assert parse(message) == Credentials("user@example.com", TOKEN)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (b"n,,\x01auth=Bearer abc\x01\x01", ""),
        (b"y,,\x01auth=Bearer abc\x01\x01", ""),
        (b"n,a=alice,\x01auth=bearer   abc\x01\x01", "alice"),
        (b"n,a=a=2Cb=3D2Cc,\x01auth=Bearer abc\x01\x01", "a,b=2Cc"),
        ("n,a=bjørn,\x01auth=Bearer abc\x01\x01".encode(), "bjørn"),
        (b"n,a=alice,\x01mthd=POST\x01post=a=b&c\r\n\td\x01auth=Bearer abc\x01qs=\x01\x01", "alice"),
    ],
)
def test_names_and_pairs(message: bytes, name: str) -> None:
    assert parse(message) == Credentials(name, "abc")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"n,,",
        b"n,,\x01\x01",
        b"n,,\x01auth=Bearer abc\x01",
        b"n,,\x01auth=Bearer abc\x01\x01\x01",
        b"n,,\x01auth=Bearer abc\x01\x01\n",
        b"n,,auth=Bearer abc\x01\x01",
        b"p=tls-exporter,,\x01auth=Bearer abc\x01\x01",
        b"F,n,,\x01auth=Bearer abc\x01\x01",
        b"N,,\x01auth=Bearer abc\x01\x01",
        b"n,alice,\x01auth=Bearer abc\x01\x01",
        b"n,a=,\x01auth=Bearer abc\x01\x01",
        b"n,a=al=ice,\x01auth=Bearer abc\x01\x01",
        b"n,a=al=2cice,\x01auth=Bearer abc\x01\x01",
        b"n,a=al\0ice,\x01auth=Bearer abc\x01\x01",
        b"n,a=\xff,\x01auth=Bearer abc\x01\x01",
        b"n,a=" + b"a" * (MAX_NAME + 1) + b",\x01auth=Bearer abc\x01\x01",
        b"n,,\x01host=mail.example.com\x01\x01",
        b"n,,\x01auth=Bearer abc\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Bearer abc\x01auth=\x01\x01",
        b"n,,\x01auth=Basic YTpi\x01\x01",
        b"n,,\x01auth=Bearer\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Bearerabc\x01\x01",
        b"n,,\x01auth=Bearer ab c\x01\x01",
        b"n,,\x01auth=Bearer ab=c\x01\x01",
        b"n,,\x01auth=Bearer abc \x01\x01",
        b"n,,\x01auth= Bearer abc\x01\x01",
        b"n,,\x01AUTH=Bearer abc\x01\x01",
        b"n,,\x01ho st=x\x01auth=Bearer abc\x01\x01",
        b"n,,\x01host=\xff\x01auth=Bearer abc\x01\x01",
        b"n,,\x01=\x01auth=Bearer abc\x01\x01",
    ],
)
def test_what_is_no_message(message: bytes) -> None:
    assert parse(message) is None


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=100),
    st.from_regex(r"[A-Za-z0-9._~+/-]{1,50}={0,2}", fullmatch=True),
)
def test_what_is_written_is_read(name: str, token: str) -> None:
    written = name.replace("=", "=3D").replace(",", "=2C")
    assert parse(f"n,a={written},\x01auth=Bearer {token}\x01\x01".encode()) == Credentials(name, token)
