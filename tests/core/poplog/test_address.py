"""Which texts are the address of a client."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.poplog.address import parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.50", "192.0.2.50"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8::50", "2001:db8::50"),
        ("2001:DB8:1:2:0:0:0:ABCD", "2001:db8:1:2::abcd"),
        ("::ffff:192.0.2.50", "192.0.2.50"),
        ("::FFFF:c000:0232", "192.0.2.50"),
        ("0:0:0:0:0:ffff:192.0.2.50", "192.0.2.50"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert parse_address(text.encode()) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joe",
        "client7.example.net",
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "ff02::1",
        "169.254.1.1",
        "fe80::1",
        "fe80::1%eth0",
        "2001:db8::1%eth0",
        "::192.0.2.50",
        "192.0.2.050",
        "192.0.2",
        "192.0.2.50/32",
        "192.0.2.256",
        "0xc0000232",
        "3221226034",
        " 192.0.2.50",
        "192.0.2.50\n",
        "\uff1192.0.2.50",
        "192.0.2.50" + " " * 100,
    ],
)
def test_no_addresses_and_nobodys(text: str) -> None:
    assert parse_address(text.encode()) is None


@given(st.binary(max_size=60))
def test_any_octets(text: bytes) -> None:
    address = parse_address(text)
    assert address is None or not (address.is_loopback or address.is_multicast or address.is_unspecified)
