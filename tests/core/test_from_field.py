import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.from_field import parse_from


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (b" alice@example.com", [b"alice@example.com"]),
        (b"Alice <alice@example.com>", [b"alice@example.com"]),
        (b"<alice@example.com>", [b"alice@example.com"]),
        (b'"Smith, Alice" <alice@example.com>', [b"alice@example.com"]),
        (b"=?utf-8?q?Ali=C3=A7e?= <alice@example.com>", [b"alice@example.com"]),
        (b"J. R. Smith <alice@example.com>", [b"alice@example.com"]),
        (b"Alice\r\n <alice@example.com>\r\n ", [b"alice@example.com"]),
        (b"alice@example.com (Alice (of (many) comments) \\) here)", [b"alice@example.com"]),
        (b"(boss@example.com) alice@example.com", [b"alice@example.com"]),
        (b"alice (x) @ (y) example.com", [b"alice@example.com"]),
        (b"alice@example.com, Bob <bob@example.org>", [b"alice@example.com", b"bob@example.org"]),
        (b'"alice"@example.com', [b"alice@example.com"]),
        (b'"al\\ice"@example.com', [b"alice@example.com"]),
        (b'"a b"@example.com', [b'"a b"@example.com']),
        (b'"a\r\n b"@example.com', [b'"a b"@example.com']),
        (b"alice@[192.0.2.1]", [b"alice@[192.0.2.1]"]),
        ("Jos\u00e9 <jos\u00e9@example.com>".encode(), ["jos\u00e9@example.com".encode()]),
        (b"team: alice@example.com, Bob <bob@example.com>;", [b"alice@example.com", b"bob@example.com"]),
        (b"team: alice@example.com;, carl@example.com", [b"alice@example.com", b"carl@example.com"]),
        (b'"boss@example.com" <alice@example.com>', [b"alice@example.com"]),
    ],
)
def test_who_a_message_is_from(value: bytes, addresses: list[bytes]) -> None:
    assert parse_from(value) == addresses


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"alice",
        b"<>",
        b"Alice <>",
        b"<alice>",
        b"alice@",
        b"@example.com",
        b"<@a,@b:alice@example.com>",
        b"alice@example.com bob@example.com",
        b"alice@example.com <boss@example.com>",
        b"<alice@example.com> <boss@example.com>",
        b"<alice@example.com> boss@example.com",
        b"<alice@example.com",
        b"alice@example.com>",
        b"alice@example.com,",
        b",alice@example.com",
        b"alice@example.com,,bob@example.com",
        b"alice@@example.com",
        b"alice@example.com@evil.example",
        b".alice@example.com",
        b"al..ice@example.com",
        b"alice@example..com",
        b"alice@example.com.",
        b'"alice@example.com',
        b"(alice@example.com",
        b"alice@example.com)",
        b"team: alice@example.com",
        b"team: sub: a@b.c;;",
        b"undisclosed:;",
        b"alice\0@example.com",
        b"alice@example.com\r\nTo: x",
        b"alice@example.com\n <boss@example.com>",
        b"alice;bob@example.com",
        b"((((((((((((((((((((((x)))))))))))))))))))))) alice@example.com",
        b"a@b.c" + b"," + b"x" * 20_000 + b"@b.c",
        b",".join([b"a@b.c"] * 200),
    ],
)
def test_what_is_not_clear_is_no_from(value: bytes) -> None:
    assert parse_from(value) is None


@given(st.lists(st.sampled_from([*b'alice@."\\<>(),:; \t\r\n[]', 0xE9]), max_size=40).map(bytes))
def test_no_octets_raise_and_addresses_are_addresses(value: bytes) -> None:
    addresses = parse_from(value)
    if addresses is not None:
        assert addresses
        for address in addresses:
            assert not set(address) & set(b"\r\n\0<>,")
            assert address.rpartition(b"@")[0]


@pytest.mark.parametrize(
    "piece", [b"(", b"\\(", b'"', b'"\\', b"a", b"a ", b"a.", b"<", b"a@b,", b"x:", b"\r\n ", b"()"]
)
def test_no_value_takes_long(piece: bytes) -> None:
    begin = time.process_time()
    parse_from(piece * (16 * 1024 // len(piece)))
    assert time.process_time() - begin < 0.2
