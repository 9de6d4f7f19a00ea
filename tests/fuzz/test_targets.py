"""Every target holds for what is known to lead far into the code, and each notices where an invariant is broken."""

import ipaddress
from collections.abc import Callable

import pytest

from fuzz import corpus
from fuzz.targets import NAMES, load
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


BREAKS: dict[str, tuple[str, Callable[..., object]]] = {
    "arguments": ("submission.core.parameters.encode", lambda values: b" X=\x85" if values else b""),
    "data": ("submission.core.datastream.LineChecker.feed", lambda _checker, _chunk: None),
    "databases": ("submission.core.databases.berkeley_db._Reader._content", lambda _reader, _page, item: item),
    "header": ("submission.core.header_block.HeaderBlock.encode", lambda block, *_, **__: bytes(block._octets)),
    "poplog": ("submission.core.poplog.reader.parse_address", lambda _: ipaddress.ip_address("203.0.113.66")),
    "proxy_header": ("fuzz.targets.proxy_header.parse", lambda data: ProxyHeader(len(data), None)),
    "sasl": ("hmac.compare_digest", lambda _one, _other: True),
    "session": ("submission.smtp.session.Session._admit", admit_anybody),
}
"""A fault for each target: what is replaced, and by what."""


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = load(name)
    monkeypatch.setattr(*BREAKS[name])
    with pytest.raises(Exception):  # noqa: B017 - one of any kind is noticed by libFuzzer
        list(map(target.check, inputs(name)))
