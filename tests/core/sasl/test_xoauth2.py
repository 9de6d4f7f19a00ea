import base64

import pytest

from submission.core.sasl.bearer import Credentials
from submission.core.sasl.decoding import MAX_NAME
from submission.core.sasl.xoauth2 import Xoauth2Mechanism

parse = Xoauth2Mechanism.parse


def test_the_example_of_the_specification() -> None:
    message = (
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0"
        "Q2cBAQ=="
    )
    assert parse(base64.b64decode(message)) == Credentials(
        "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
    )


def test_names() -> None:
    assert parse(b"user=\x01auth=Bearer abc\x01\x01") == Credentials("", "abc")
    assert parse(b"user=a=b,c d\x01auth=bearer abc==\x01\x01") == Credentials("a=b,c d", "abc==")
    assert parse("user=bjørn\x01auth=Bearer abc\x01\x01".encode()) == Credentials("bjørn", "abc")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"user=alice",
        b"user=alice\x01auth=Bearer abc\x01",
        b"user=alice\x01auth=Bearer abc\x01\x01\x01",
        b"user=alice\x01auth=Bearer abc\x01\x01\n",
        b"USER=alice\x01auth=Bearer abc\x01\x01",
        b"user=alice\x01Auth=Bearer abc\x01\x01",
        b"user=al\0ice\x01auth=Bearer abc\x01\x01",
        b"user=\xff\x01auth=Bearer abc\x01\x01",
        b"user=" + b"a" * (MAX_NAME + 1) + b"\x01auth=Bearer abc\x01\x01",
        b"user=alice\x01auth=Basic YTpi\x01\x01",
        b"user=alice\x01auth=Bearer \x01\x01",
        b"user=alice\x01auth=Bearer a b\x01\x01",
        b"user=alice\x01host=x\x01auth=Bearer abc\x01\x01",
        b"auth=Bearer abc\x01\x01",
    ],
)
def test_what_is_no_message(message: bytes) -> None:
    assert parse(message) is None
