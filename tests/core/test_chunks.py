import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.core.chunks import Chunk, DotStuffer, parse_chunk

LINES = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"x.", b"a longer line"]))


def stuff(*pieces: bytes) -> bytes:
    stuffer = DotStuffer()
    return b"".join(map(stuffer.feed, pieces)) + stuffer.finish()


@pytest.mark.parametrize(
    ("argument", "chunk"),
    [
        (b"0", Chunk(0, is_last=False)),
        (b"1000", Chunk(1000, is_last=False)),
        (b"0 LAST", Chunk(0, is_last=True)),
        (b"86 last", Chunk(86, is_last=True)),
        (b" 86  Last ", Chunk(86, is_last=True)),
        (b"00086", Chunk(86, is_last=False)),
        (b"99999999999999999999", Chunk(99999999999999999999, is_last=False)),
    ],
)
def test_size_and_last(argument: bytes, chunk: Chunk) -> None:
    assert parse_chunk(argument) == chunk


@pytest.mark.parametrize(
    "argument",
    [b"", b"LAST", b"-1", b"+1", b"1.5", b"0x10", b"1_0", b"10LAST", b"10 LASTLY", b"10 LAST 20", b"10 20", b"9" * 21,
     b"10\tLAST", "\u0661".encode()],
)  # fmt: skip
def test_anything_else_is_no_chunk(argument: bytes) -> None:
    assert parse_chunk(argument) is None


@given(st.integers(0, 10**20 - 1), st.booleans())
def test_a_chunk_that_was_encoded_is_parsed(size: int, is_last: bool) -> None:
    chunk = Chunk(size, is_last)
    assert parse_chunk(chunk.encode().removeprefix(b"BDAT ")) == chunk


@given(LINES, st.data())
def test_every_line_that_begins_with_a_dot_gets_another_wherever_it_is_cut(
    lines: list[bytes], data: st.DataObject
) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    wanted = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)))))
    pieces = [message[start:end] for start, end in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    assert stuff(*pieces) == wanted


@given(
    st.lists(st.binary(max_size=6).map(lambda octets: octets.translate(bytes(b"\r\n.x"[n % 4] for n in range(256)))))
)
@example([b"\r", b"\n", b"."])
@example([b"", b".", b"\r\n"])
def test_no_cut_hides_a_dot(pieces: list[bytes]) -> None:
    message = b"".join(pieces)
    assert stuff(*pieces) == stuff(message)
    assert b"\r\n.\r\n" not in b"\r\n" + stuff(*pieces)


def test_a_last_line_without_an_end_gets_one() -> None:
    assert stuff(b"one\r\ntwo") == b"one\r\ntwo\r\n"
    assert stuff(b"one\r\n") == b"one\r\n"
    assert stuff() == b""
