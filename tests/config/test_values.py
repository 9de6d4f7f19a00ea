"""Each kind of value: what is taken, what it becomes, what is refused."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError

from submission.config import values
from submission.config.values import SystemdAddress, TcpAddress, UnixAddress


def parse(kind: Any, value: object) -> Any:
    adapter = TypeAdapter(kind, config=ConfigDict(strict=True))
    return adapter.validate_python(value, context={"folder": Path("/etc/submission")})


def refused(kind: Any, value: object) -> str:
    """The first thing that is said of the value."""
    with pytest.raises(ValidationError) as caught:
        parse(kind, value)
    return caught.value.errors()[0]["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5.0), (0.5, 0.5), ("30s", 30.0), ("1.5s", 1.5), ("15m", 900.0), ("2h", 7200.0), ("7d", 604800.0)],
)
def test_durations(value: object, seconds: float) -> None:
    parsed = parse(values.Seconds, value)
    assert (type(parsed), parsed) == (float, seconds)


@pytest.mark.parametrize("value", ["", "30", "s", "30 s", "30S", "-1s", "1e3s", "٣s", "30s\n", "1w", True, None, [1]])
def test_no_durations(value: object) -> None:
    assert refused(values.Seconds, value).startswith("must be a number of seconds or a text such as")


@pytest.mark.parametrize(
    ("value", "octets"), [(1, 1), ("5B", 5), ("2KiB", 2048), ("40MiB", 41943040), ("1GiB", 1073741824)]
)
def test_sizes(value: object, octets: int) -> None:
    assert parse(values.Octets, value) == octets


@pytest.mark.parametrize(
    "value", ["", "40", "40MB", "40M", "40mib", "4.5MiB", "-1B", "40 MiB", "٣MiB", 4.5, True, None]
)
def test_no_sizes(value: object) -> None:
    assert refused(values.Octets, value).startswith("must be a number of bytes or a text such as")


@pytest.mark.parametrize(
    ("value", "network"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks(value: str, network: str) -> None:
    assert parse(values.Networks, [value]) == (ipaddress.ip_network(network),)
    assert parse(values.NetworksOrOctets, [value]) == (ipaddress.ip_network(network),)


@pytest.mark.parametrize(
    "value",
    ["", "localhost", "192.0.2", "192.0.2.256", "192.0.2.0/33", "192.0.2.0/", "01.2.3.4", 3221225985, True, None],
)
def test_no_networks(value: object) -> None:
    assert refused(values.Networks, [value]).startswith("must be a network or an address")


def test_bits_behind_the_prefix_are_a_slip_and_not_a_network() -> None:
    assert refused(values.Networks, ["10.1.2.3/8"]) == 'has bits set behind the prefix, the network is "10.0.0.0/8"'


def test_ipv4_is_written_as_ipv4() -> None:
    """Clients' addresses are compared in their shorter form, so that the longer one would never match."""
    assert refused(values.Networks, ["::ffff:192.0.2.1"]).startswith("must be written as IPv4")


@pytest.mark.parametrize(
    ("value", "network"), [("10", "10.0.0.0/8"), ("192.168", "192.168.0.0/16"), ("192.168.7", "192.168.7.0/24")]
)
def test_leading_octets(value: str, network: str) -> None:
    assert parse(values.NetworksOrOctets, [value]) == (ipaddress.ip_network(network),)


@pytest.mark.parametrize("value", ["256", "192.168.", ".168", "192.1680", "1.2.3.4.5", "٣"])
def test_no_leading_octets(value: str) -> None:
    assert refused(values.NetworksOrOctets, [value]).startswith("must be a network or an address")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("0.0.0.0:587", TcpAddress("0.0.0.0", 587)),
        ("[::]:587", TcpAddress("::", 587)),
        ("[2001:DB8::1]:65535", TcpAddress("2001:db8::1", 65535)),
        ("unix:/run/submission.sock", UnixAddress(Path("/run/submission.sock"))),
        ("unix:run/submission.sock", UnixAddress(Path("/etc/submission/run/submission.sock"))),
    ],
)
def test_addresses(value: str, address: object) -> None:
    assert parse(values.ListenAddress, value) == address
    assert parse(values.RelayAddress, value) == address


@pytest.mark.parametrize("name", ["submission", "submission.socket", "a b@c"])
def test_only_a_listener_may_be_systemd_s(name: str) -> None:
    assert parse(values.ListenAddress, f"systemd:{name}") == SystemdAddress(name)
    assert refused(values.RelayAddress, f"systemd:{name}").startswith("must be a host and a port")


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "\u00e9", "a" * 256])
def test_names_that_systemd_gives_no_socket(name: str) -> None:
    text = 'must be "systemd:" and the FileDescriptorName= of a .socket unit, ASCII without ":"'
    assert refused(values.ListenAddress, f"systemd:{name}") == text


@pytest.mark.parametrize("value", ["localhost:25", "mx.example.com:25", "xn--bcher-kva.example:25"])
def test_a_relay_may_have_a_name_and_a_listener_an_address_only(value: str) -> None:
    host, _, port = value.partition(":")
    assert parse(values.RelayAddress, value) == TcpAddress(host, int(port))
    assert refused(values.ListenAddress, value).startswith("must be an address literal and a port")


@pytest.mark.parametrize(
    "value",
    [
        "",
        ":25",
        "25",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:+25",
        "127.0.0.1:٣",
        "127.0.0.1:25 ",
        "127.0.0.256:25",
        "[127.0.0.1]:25",
        "::1:25",
        "[::1]",
        "[::1:25",
        "[mx.example.com]:25",
        "mx..example:25",
        "mx_1.example:25",
        "-mx.example:25",
        "mx.example\n:25",
        "bücher.example:25",
        "*:25",
        "unix:",
        25,
        True,
        None,
        ["127.0.0.1:25"],
    ],
)
def test_no_addresses(value: object) -> None:
    assert refused(values.ListenAddress, value).startswith("must be an address literal and a port")
    assert refused(values.RelayAddress, value).startswith("must be a host and a port")


@given(st.text())
def test_an_address_reads_back_from_its_text(text: str) -> None:
    for port in (text, f"127.0.0.1:{text}", f"[::1]:{text}", f"{text}:25", f"[{text}]:25"):
        try:
            address = parse(values.RelayAddress, port)
        except ValidationError:
            continue
        assert parse(values.RelayAddress, str(address)) == address


@pytest.mark.parametrize("value", ["", "a\0b", "a\nb", 3, None])
def test_no_paths(value: object) -> None:
    for kind in (values.FilePath, values.StateFile):
        assert refused(kind, value) == "must be the path of a file or folder"
    assert refused(values.ListenAddress, "unix:a\nb") == "must be the path of a file or folder"


def test_paths() -> None:
    assert parse(values.FilePath, "certs/server.pem") == Path("/etc/submission/certs/server.pem")
    assert parse(values.FilePath, "/server.pem") == Path("/server.pem")
    assert parse(values.StateFile, "store.key") == Path("store.key")
    assert parse(values.OptionalPath, "server.pem") == Path("/etc/submission/server.pem")
    assert parse(values.OptionalPath, "") is None


@pytest.mark.parametrize("name", ["a", "mail.example.com", "3com.example", "a" * 63 + ".example"])
def test_domains(name: str) -> None:
    assert parse(values.Domain, name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "a\n", "é", "a" * 64, ".".join(["a" * 50] * 6)]
)
def test_no_domains(name: str) -> None:
    assert refused(values.Domain, name).startswith("must be a host name")


@pytest.mark.parametrize(
    ("name", "lower"),
    [("Mail.Example.COM", "mail.example.com"), ("*.Example.com", "*.example.com"), ("localhost", "localhost")],
)
def test_server_names(name: str, lower: str) -> None:
    assert parse(values.ServerName, name) == lower


@pytest.mark.parametrize(
    "name",
    ["", "*", "*.", "*mail.example.com", "mail.*.com", "*.*.com", "a.example.", "192.0.2.1", "::1", "büro.example"],
)
def test_no_server_names(name: str) -> None:
    assert refused(values.ServerName, name).startswith("must be a host name")


@pytest.mark.parametrize("realm", ["", "example.com", "EXAMPLE", "büro", "my_host"])
def test_realms(realm: str) -> None:
    assert parse(values.Realm, realm) == realm


@pytest.mark.parametrize("realm", ["a@b", "a b", "a\n", "a\0", "x" * 256])
def test_no_realms(realm: str) -> None:
    assert refused(values.Realm, realm)


@pytest.mark.parametrize("name", ["", "root", "a b", "a:b", "0", "-a", "a/b", "a\n", "u" * 33])
def test_no_system_users(name: str) -> None:
    assert refused(values.SystemUser, name) == "must be the name of a system user other than root"


@pytest.mark.parametrize("url", ["", "users.db", "SQLITE:users.db", "postgresql://x/y"])
def test_other_stores(url: str) -> None:
    assert "is not available in this version" in refused(values.StoreUrl, url)


@pytest.mark.parametrize("url", ["sqlite", "sqlite:", "sqlite:a\0b", "sqlite:a\n", "sasldb2:"])
def test_no_store_files(url: str) -> None:
    assert refused(values.StoreUrl, url).startswith("must name a file")
