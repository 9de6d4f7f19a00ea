import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.header_block import MAX_BLOCK, HeaderBlock, is_in_loop

MESSAGE = b"From: alice@example.com\r\nSubject: a\r\n\tb\r\nBCC: x@y\r\n\r\nbody\r\n"


def read(*pieces: bytes) -> HeaderBlock:
    block = HeaderBlock()
    for piece in pieces:
        if not block.is_whole:
            block.feed(piece)
        else:
            block.rest += piece
    block.finish()
    return block


def test_fields_are_found_with_their_folds_and_the_body_is_left_alone() -> None:
    block = read(MESSAGE)
    assert [field.name for field in block.fields] == [b"from", b"subject", b"bcc"]
    assert block.values(b"subject") == [b" a\r\n\tb"]
    assert block.rest == b"\r\nbody\r\n"
    assert block.has(b"date", b"bcc")
    assert not block.has(b"date")
    assert block.encode() == MESSAGE


def test_it_is_whole_with_the_empty_line_and_not_before() -> None:
    block = HeaderBlock()
    end = MESSAGE.index(b"\r\n\r\n") + 4
    for octet in MESSAGE[: end - 1]:
        block.feed(bytes([octet]))
        assert not block.is_whole
    block.feed(MESSAGE[end - 1 : end])
    assert block.is_whole


def test_our_fields_go_on_top_and_what_shall_go_goes() -> None:
    assert read(MESSAGE).encode(b"Date: now\r\n", frozenset({b"bcc"})) == (
        b"Date: now\r\nFrom: alice@example.com\r\nSubject: a\r\n\tb\r\n\r\nbody\r\n"
    )


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (b"\r\nFrom: body\r\n", []),
        (b"", []),
        (b"From: x\r\n", [b"from"]),
        (b"From: x", []),  # a line without its end is none
        (b"no field\r\nFrom: x\r\n\r\n", []),
        (b"From: x\r\nno field\r\nDate: x\r\n\r\n", [b"from"]),
        (b" folded\r\nFrom: x\r\n\r\n", []),
        (b"From : x\r\n\r\n", [b"from"]),  # RFC 5322 section 4.5 has it, and mail programs read it
        (b"FROM:\r\n x\r\n\r\n", [b"from"]),
        (b": x\r\n\r\n", []),
        (b"From: x\r\n\r\nDate: y\r\n\r\n", [b"from"]),
    ],
)
def test_where_the_header_ends(message: bytes, names: list[bytes]) -> None:
    block = read(message)
    assert [field.name for field in block.fields] == names
    assert block.encode() == message


def test_one_without_end_is_too_large() -> None:
    block = HeaderBlock()
    block.feed(b"x" * MAX_BLOCK)
    assert not block.is_too_large
    block.feed(b"x")
    assert block.is_too_large


def test_a_loop_is_more_than_fifty_hosts() -> None:
    assert not is_in_loop(read(b"Received: x\r\n" * 50 + b"\r\n"))
    assert is_in_loop(read(b"received: x\r\n" * 51 + b"\r\n"))
    assert not is_in_loop(read(b"\r\n" + b"Received: x\r\n" * 60))


PIECES = st.lists(
    st.sampled_from([b"From: x", b"\r\n", b"\r", b"\n", b" y", b"Bcc: z", b":", b"\r\n\r\n", b".", b"a"]), max_size=14
)


@given(PIECES)
def test_however_it_is_cut_it_is_the_same_and_nothing_is_lost(pieces: list[bytes]) -> None:
    message = b"".join(pieces)
    assert read(*pieces).encode() == message == read(message).encode()
    assert read(*pieces).fields == read(message).fields
    without = read(message).encode(without=frozenset({b"bcc"}))
    assert not read(without).has(b"bcc") or not read(message).has(b"bcc")
