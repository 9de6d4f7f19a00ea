import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.header_block import MAX_BLOCK, MAX_LINES, HeaderBlock, find_from, is_in_loop

MESSAGE = b"From: alice@example.com\r\nSubject: a\r\n\tb\r\nBCC: x@y\r\n\r\nbody\r\n"


def read(*pieces: bytes, is_stuffed: bool = True) -> HeaderBlock:
    block = HeaderBlock(is_stuffed=is_stuffed)
    for piece in pieces:
        if not block.is_whole:
            block.feed(piece)
    block.finish()
    return block


def values(block: HeaderBlock, name: bytes) -> list[bytes]:
    return [field.value for field in block.fields if field.name == name]


def test_fields_are_found_with_their_folds_and_the_body_is_left_alone() -> None:
    block = read(MESSAGE)
    assert [field.name for field in block.fields] == block.names == [b"from", b"subject", b"bcc"]
    assert values(block, b"subject") == [b" a\r\n\tb"]
    assert block.is_clear
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
    assert [field.name for field in block.fields] == block.names == names
    assert block.encode() == message


@pytest.mark.parametrize(
    ("header", "is_clear"),
    [
        (b"", True),
        (b"From: x\r\n", True),
        (b"From: x", False),
        (b"From x\r\nFrom: x\r\n", False),  # mbox; sendmail would skip the line
        (b"no field\r\n", False),
        (b"X: y\r\nno field\r\nFrom: x\r\n", False),
        (b": x\r\n", False),
        (b"--x: y\r\nFrom: x\r\n", False),  # sendmail's first line of the body
        (b"Sub\xc3\xa4ject: y\r\n", False),
    ],
)
def test_it_is_clear_only_where_nobody_reads_it_otherwise(header: bytes, is_clear: bool) -> None:
    assert read(header, b"\r\nbody\r\n" if header.endswith(b"\n") else b"").is_clear == is_clear
    assert read(header).is_clear == is_clear


def test_under_data_a_line_loses_a_dot_and_nowhere_else() -> None:
    """Regression: `.From:` was no From here, and one for the relay, which takes a dot from every line."""
    lost = read(b".From: a@b,\r\n.\tc@d\r\n..X: y\r\n\r\n")
    assert lost.names == [b"from", b".x"]
    assert find_from(lost) == [b"a@b", b"c@d"]
    assert not read(b".: x\r\nFrom: a@b\r\n\r\n").is_clear
    assert not read(b". : x\r\nFrom: a@b\r\n\r\n").is_clear
    for octets in (b".From: a@b\r\n\r\n", b"From: a@b,\r\n.\tc@d\r\n\r\n"):
        assert not read(octets, is_stuffed=False).is_clear
        assert find_from(read(octets, is_stuffed=False)) is None


@pytest.mark.parametrize("size", [1, 1000, MAX_BLOCK - 1, MAX_BLOCK, MAX_BLOCK + 1, MAX_BLOCK * 2])
def test_too_large_is_one_without_an_end_where_it_should_be(size: int) -> None:
    inside, beyond = b"X: " + b"x" * (MAX_BLOCK - 7) + b"\r\n\r\n", b"X: " + b"x" * (MAX_BLOCK - 6) + b"\r\n\r\n"
    for message, is_too_large in ((inside, False), (beyond, True), (b"x" * MAX_BLOCK, False)):
        pieces = [message[place : place + size] for place in range(0, len(message), size)] if size > 1 else [message]
        block = read(*pieces)
        assert block.is_too_large == is_too_large
        assert is_too_large or block.encode() == message
        assert not (is_too_large and (block.names or block.is_clear or block.fields))


def test_so_is_one_of_too_many_lines() -> None:
    assert not read(b"X: y\r\n" * (MAX_LINES - 2) + b"\r\n").is_too_large
    block = read(b"X: y\r\n" * MAX_LINES + b"\r\n")
    assert block.is_too_large
    assert block.encode(b"A: b\r\n").startswith(b"A: b\r\nX: y\r\n")


@pytest.mark.parametrize(
    ("header", "addresses"),
    [
        (b"From: a@b\r\n", [b"a@b"]),
        (b"From: A <a@b>, c@d\r\n", [b"a@b", b"c@d"]),
        (b"To: a@b\r\n", None),
        (b"From: a@b\r\nFROM: a@b\r\n", None),
        (b"From: nobody\r\n", None),
        (b"From: a@b\r\nno field\r\n", None),
    ],
)
def test_who_it_is_from(header: bytes, addresses: list[bytes] | None) -> None:
    assert find_from(read(header)) == addresses


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
    block = HeaderBlock()
    kept = b""
    for piece in pieces:
        if block.is_whole:
            kept += piece
        else:
            block.feed(piece)
    block.finish()
    assert block.encode() + kept == message == read(message).encode()
    assert (block.fields, block.names, block.is_clear) == (
        *(read(message, is_stuffed=False).fields, block.names),
        read(message, is_stuffed=False).is_clear,
    )
    assert [field.name for field in block.fields] == block.names
    without = read(message).encode(without=frozenset({b"bcc"}))
    assert b"bcc" not in read(without).names or b"bcc" not in read(message).names
