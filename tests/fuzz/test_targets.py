"""Every target holds for what is known to lead far into the code, and each notices where an invariant is broken."""

import ipaddress
from collections.abc import Callable

import pytest

from fuzz import corpus
from fuzz.targets import NAMES, load
from submission.core.datastream import LineChecker
from submission.core.proxy_header import ProxyHeader
from submission.core.transaction import Identity, Via
from submission.smtp.session import Session


def inputs(name: str) -> list[bytes]:
    return [*load(name).seeds(), *corpus.read(name)]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_found_before_holds(name: str) -> None:
    target = load(name)
    assert len(inputs(name)) > 5
    for octets in inputs(name):
        target.check(octets)


async def admit_anybody(_session: Session) -> Identity:
    return Identity(Via.STATIC)


def ignore_content(_checker: LineChecker, _chunk: bytes) -> None:
    """Let everything pass."""


FAULTS: list[tuple[str, str, Callable[..., object]]] = [
    ("arguments", "submission.core.parameters.encode", lambda values: b" X=\x85" if values else b""),
    ("data", "submission.core.datastream.LineChecker.feed", ignore_content),
    ("databases", "submission.core.databases.berkeley_db._Reader._content", lambda _reader, _page, item: item),
    ("header", "submission.core.header_block.HeaderBlock.encode", lambda block, *_, **__: bytes(block._octets)),
    ("poplog", "submission.core.poplog.reader.parse_address", lambda _: ipaddress.ip_address("203.0.113.66")),
    ("proxy_header", "fuzz.targets.proxy_header.parse", lambda data: ProxyHeader(len(data), None)),
    ("sasl", "hmac.compare_digest", lambda _one, _other: True),
    ("session", "submission.smtp.session.Session._admit", admit_anybody),
    ("session", "submission.core.datastream.LineChecker.feed", ignore_content),
    ("session", "submission.core.replies.Reply.encode", lambda reply: b"%d\n" % reply.code),
]
"""Target, what is replaced, and by what."""


@pytest.mark.parametrize(("name", "place", "fault"), FAULTS)
def test_a_fault_is_noticed(
    name: str, place: str, fault: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = load(name)
    monkeypatch.setattr(place, fault)
    with pytest.raises(Exception):  # noqa: B017 - one of any kind is noticed by libFuzzer
        list(map(target.check, inputs(name)))


def test_there_is_a_fault_for_each_target() -> None:
    assert {name for name, _, _ in FAULTS} == set(NAMES)
