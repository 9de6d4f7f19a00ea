"""A message's header, cut anywhere: it goes on as it came, or without the fields that are to go, and in no other way.

What is learned of it doesn't depend on the cuts. The addresses of a From field are none that could be read in another
way: they are found again in a field that consists of nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fuzz.input import Input
from fuzz.timing import bounded
from submission.core.from_field import MAX_ADDRESSES, parse_from
from submission.core.header_block import HeaderBlock, find_from, is_in_loop

_CUTS = 4
_BCC = frozenset((b"bcc",))
_ADDRESS = re.compile(rb'(?:[^\0\r\n<>,;:@" ()]+|"[^\0\r\n]*")@(?:[^\0\r\n<>,;:@" ()]+|\[[A-Za-z0-9:.-]*\])')


def seeds() -> Iterator[bytes]:
    """Headers, whose From is everything that a From can be."""
    for value in (
        b"alice@example.com",
        b'"Alice (A.)" <alice@example.com>, bob@example.net',
        b"(a (nested) comment)\r\n alice@example.com (another)",
        b'friends: "b c"@example.com, <d@[192.0.2.1]>;',
        b'"alice"@example.com',
        b"<@relay.example:alice@example.com>",
        b"alice@example.com\r\n.,bob@example.com",
    ):
        header = b"Received: by x\r\nFrom: " + value + b"\r\nBcc: carol@example.com,\r\n\tdan@example.com\r\n"
        yield bytes(1 + _CUTS) + header + b"\r\nbody\r\n"
        yield bytes([1, 2, 3, 9, 50]) + header + b".Subject : x\r\n\r\n"
    yield bytes([1, 0, 0, 0, 0]) + b"From alice@example.com\r\nFrom: bob@example.com\r\n\r\n"


def check(data: bytes) -> None:
    """Collect a header in pieces and in one, ask all that is asked of it, and write it."""
    choice = Input(data)
    is_stuffed = choice.number(2) == 1
    octets = choice.rest[_CUTS:]
    with bounded():
        block, octets = _collect(choice.pieces(octets, _CUTS), is_stuffed=is_stuffed)
        senders = find_from(block)
        is_in_loop(block)
        parse_from(octets)
    whole, _ = _collect([octets], is_stuffed=is_stuffed)
    assert (block.names, block.is_clear, block.is_too_large) == (whole.names, whole.is_clear, whole.is_too_large)
    assert block.encode() == octets
    assert block.encode(b"Received: from us\r\n") == b"Received: from us\r\n" + octets
    _check_removal(block, octets, is_stuffed=is_stuffed)
    if senders is not None:
        assert 0 < len(senders) <= MAX_ADDRESSES
        assert all(_ADDRESS.fullmatch(address) for address in senders), senders
        assert parse_from(b",".join(senders)) == senders


def _collect(chunks: list[bytes], *, is_stuffed: bool) -> tuple[HeaderBlock, bytes]:
    """The block, and what was fed of these chunks until it was whole."""
    block = HeaderBlock(is_stuffed=is_stuffed)
    fed = b""
    for chunk in chunks:
        if not block.is_whole:
            block.feed(chunk)
            fed += chunk
    block.finish()
    return block, fed


def _check_removal(block: HeaderBlock, octets: bytes, *, is_stuffed: bool) -> None:
    """That only Bcc is missing without it, and what is left still has the other fields and the body."""
    without = block.encode(without=_BCC)
    if b"bcc" not in block.names:
        assert without == octets
        return
    rest, _ = _collect([without], is_stuffed=is_stuffed)
    others = [name for name in block.names if name != b"bcc"]
    assert rest.names[: len(others)] == others
    assert b"bcc" not in rest.names[: len(others)]
    removed = sum(len(field.octets) for field in block.fields if field.name == b"bcc")
    assert len(without) == len(octets) - removed
