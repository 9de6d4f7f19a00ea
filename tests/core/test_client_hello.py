import ssl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.core.client_hello import MAX_EXTENSIONS, MAX_RECORD, X25519, is_whole, knows_group
from tests.support.hello import first_words

SECP256R1, FFDHE8192 = 0x0017, 0x0104
HELLO = first_words()


def context(group: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = version
    if group:
        client.set_ecdh_curve(group)
    return client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("group", "known"),
    [(None, {X25519, SECP256R1}), ("prime256v1", {SECP256R1}), ("X25519", {X25519}), ("secp384r1", set())],
)
def test_the_groups_of_real_clients(group: str | None, known: set[int], version: ssl.TLSVersion) -> None:
    hello = first_words(context(group, version))
    assert {each for each in (X25519, SECP256R1) if knows_group(hello, each)} == known


def test_a_client_without_such_groups_names_none() -> None:
    client = context(None, ssl.TLSVersion.TLSv1_2)
    client.set_ciphers("AES128-SHA256")
    assert not knows_group(first_words(client), X25519)


def test_what_is_behind_the_first_record_is_nothing_to_it() -> None:
    assert is_whole(HELLO + b"x")
    assert knows_group(HELLO + b"x", X25519)


@given(st.integers(0, len(HELLO) - 1))
def test_it_is_whole_once_all_of_it_is_there(size: int) -> None:
    assert not is_whole(HELLO[:size])
    assert is_whole(HELLO)
    assert knows_group(HELLO[:size], X25519) in (False, True)


@pytest.mark.parametrize("octets", [b"EHLO client.example\r\n", b"G", b"\x15\x03\x01", b"\x80"])
def test_what_is_no_record_is_not_waited_for(octets: bytes) -> None:
    assert is_whole(octets)
    assert not knows_group(octets, X25519)


def test_a_record_that_is_too_long_is_not_waited_for() -> None:
    endless = b"\x16\x03\x01\xff\xff"
    assert not is_whole(endless.ljust(MAX_RECORD - 1))
    assert is_whole(endless.ljust(MAX_RECORD))


def vector(octets: bytes, size: int) -> bytes:
    return len(octets).to_bytes(size) + octets


def hello(*extensions: tuple[int, bytes]) -> bytes:
    listed = b"".join(kind.to_bytes(2) + vector(value, 2) for kind, value in extensions)
    body = b"\x03\x03" + bytes(32) + vector(b"", 1) + vector(b"\x13\x01", 2) + vector(b"\0", 1) + vector(listed, 2)
    return b"\x16\x03\x01" + vector(b"\x01" + vector(body, 3), 2)


GROUPS = (10, vector(SECP256R1.to_bytes(2) + X25519.to_bytes(2), 2))


@pytest.mark.parametrize("before", [0, 1, MAX_EXTENSIONS - 1])
def test_where_the_groups_are_among_the_extensions(before: int) -> None:
    octets = hello(*[(kind + 100, b"x") for kind in range(before)], GROUPS)
    assert knows_group(octets, X25519)
    assert not knows_group(octets, FFDHE8192)


def test_only_so_many_extensions_are_looked_at() -> None:
    assert not knows_group(hello(*[(100, b"")] * MAX_EXTENSIONS, GROUPS), X25519)


def test_groups_are_numbers_of_two_octets() -> None:
    assert not knows_group(hello((10, vector(b"\x17\0\x1d\x17", 2))), X25519)
    assert not knows_group(hello((10, vector(b"\0", 2))), 0x1D)


@given(st.binary(max_size=300), st.integers(0, len(HELLO)))
@example(b"", 5)
def test_whatever_comes_nothing_is_raised(octets: bytes, kept: int) -> None:
    for each in (octets, HELLO[:kept] + octets):
        is_whole(each)
        knows_group(each, X25519)
