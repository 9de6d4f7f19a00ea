"""Which ways there are to a listener."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.cli.doctor.conversation import ConversationError
from submission.cli.doctor.doors import Door, find_doors, own_address
from submission.config.settings import Listen
from submission.config.values import TcpAddress
from tests.cli.doctor.conftest import Installation
from tests.support.server import HOSTNAME
from tests.support.sink import Sink, reply, script


def addresses(address: str) -> list[str]:
    listen = Listen.model_validate({"address": address}, context={"folder": Path("/")})
    return [door.place.name for door in find_doors(listen, HOSTNAME)]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:587", ["127.0.0.1:587"]),
        ("[::1]:587", ["[::1]:587"]),
        ("198.51.100.7:587", ["198.51.100.7:587"]),
        ("unix:/run/x", ["unix:/run/x"]),
        ("systemd:submission", []),
    ],
)
def test_a_listener_at_one_address(address: str, expected: list[str]) -> None:
    assert addresses(address) == expected


@pytest.mark.parametrize(("wildcard", "loopback"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")], ids=["IPv4", "IPv6"])
def test_a_listener_at_all_addresses_is_tried_by_loopback_and_by_the_machine_s_own(
    wildcard: str, loopback: str
) -> None:
    own = own_address(wildcard)
    expected = [str(TcpAddress(host, 587)) for host in (loopback, own) if host]
    assert addresses(str(TcpAddress(wildcard, 587))) == expected


@pytest.mark.parametrize("kind", ["starttls", "implicit", "balanced-starttls", "balanced-implicit"])
def test_every_kind_of_door_is_entered_encrypted(installation: Installation, kind: str) -> None:
    door, _ = installation.door(kind)
    with door.enter_encrypted() as conversation:
        assert conversation.certificate
        assert "AUTH" in conversation.hello("client.example")


def test_starttls_that_is_refused() -> None:
    with Sink(script({"STARTTLS": reply("454 4.7.0 TLS not available")})) as sink:
        listen = Listen(address=f"127.0.0.1:{sink.port}")
        door = Door(listen, TcpAddress("127.0.0.1", sink.port), HOSTNAME)
        with pytest.raises(ConversationError, match="STARTTLS is answered with 454"):
            door.enter_encrypted()
