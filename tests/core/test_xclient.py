import pytest

from submission.core.xclient import Client

POSTFIX = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"


@pytest.mark.parametrize(
    ("client", "command"),
    [
        (Client("alice@example.com", "203.0.113.5", "laptop"), b"XCLIENT LOGIN=alice@example.com"),
        (Client(""), b"XCLIENT LOGIN=[UNAVAILABLE]"),
        (
            Client("alice@example.com", "203.0.113.5", "laptop", is_hidden=False),
            b"XCLIENT LOGIN=alice@example.com ADDR=203.0.113.5 NAME=[UNAVAILABLE] HELO=laptop",
        ),
        (
            Client("a b+c=d@example.com", "2001:db8::5", "l\xe4ptop", is_hidden=False),
            b"XCLIENT LOGIN=a+20b+2Bc+3Dd@example.com ADDR=IPV6:2001:db8::5 NAME=[UNAVAILABLE] HELO=l+C3+A4ptop",
        ),
        (
            Client("alice@example.com", "", "", is_hidden=False),
            b"XCLIENT LOGIN=alice@example.com ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE] HELO=[UNAVAILABLE]",
        ),
    ],
)
def test_who_the_client_is(client: Client, command: bytes) -> None:
    assert client.encode(POSTFIX) == command


def test_only_what_the_relay_names_is_said() -> None:
    client = Client("alice@example.com", "203.0.113.5", "laptop", is_hidden=False)
    assert client.encode("name addr") == b"XCLIENT ADDR=203.0.113.5 NAME=[UNAVAILABLE]"
    assert client.encode("") == client.encode("PROTO") == b""
    assert Client("alice@example.com").encode("NAME ADDR") == b""


@pytest.mark.parametrize("evil", ["a\r\nMAIL FROM:<x>", "a\0b", "a\x1b[1m"])
def test_nothing_ends_the_command_early(evil: str) -> None:
    command = Client(evil, "", evil, is_hidden=False).encode(POSTFIX)
    assert command.isascii()
    assert command.decode().isprintable()
