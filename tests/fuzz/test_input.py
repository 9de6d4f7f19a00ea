"""An input's octets decide, one after the other."""

from fuzz.input import Input


def test_numbers_come_from_the_front() -> None:
    choice = Input(b"\5\xff\3rest")
    assert [choice.number(4), choice.number(256), choice.number(2)] == [1, 255, 1]
    assert choice.rest == b"rest"


def test_an_input_that_is_over_chooses_the_first() -> None:
    assert Input(b"").number(9) == 0


def test_octets_are_cut_and_none_is_lost() -> None:
    choice = Input(b"\2\0\1")
    assert choice.pieces(b"abcdef", 3) == [b"ab", b"", b"c", b"def"]
    assert choice.pieces(b"abc", 2) == [b"", b"", b"abc"]
