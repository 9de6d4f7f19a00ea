"""The client leaves, in each way and at each moment: what the relay has then, and what the log says of it.

A message whose final dot never came must not end with one at the relay. One whose dot came is the relay's matter, and
its outcome is logged although nobody is there to hear it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support.client import Client, Departure
from tests.support.events import Events
from tests.support.network import PATIENCE
from tests.support.server import Server, Settings
from tests.support.sink import Answer, Sink, reply, script

SENDER = "MAIL FROM:<carol@example.com>"
RECIPIENT = "RCPT TO:<alice@test.example>"
MESSAGE = b"From: carol@example.com\r\n\r\nHi\r\n"
WAYS: list[tuple[str, Departure]] = [
    ("none", "close"),
    ("none", "reset"),
    ("none", "half-close"),
    ("implicit", "close"),
    ("implicit", "reset"),
]


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"auth": {"require_tls": False}}  # only without TLS can a client close one side


@pytest.fixture(params=WAYS, ids=" ".join)
def way(request: pytest.FixtureRequest) -> tuple[str, Departure]:
    way: tuple[str, Departure] = request.param
    return way


@pytest.fixture
def client(way: tuple[str, Departure], server: Server) -> Iterator[Client]:
    with Client(server, way[0]) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        yield client


@pytest.mark.parametrize("commands", [0, 1, 2])
def test_before_data_nothing_has_happened(
    commands: int, way: tuple[str, Departure], client: Client, server: Server, sink: Sink, events: Events
) -> None:
    client.say_each(*[SENDER, RECIPIENT][:commands])
    client.leave(way[1])
    assert events.wait("connection")["messages"] == "0"
    assert events.all("message") == []
    assert_next_message_is_alone(server, sink)


@pytest.mark.parametrize("part", [b"", b"From: carol@example.com\r\n\r\nHi", MESSAGE, MESSAGE + b".", MESSAGE + b".\r"])
def test_without_the_dot_there_is_no_message(
    part: bytes, way: tuple[str, Departure], client: Client, server: Server, sink: Sink, events: Events
) -> None:
    assert client.say_each(SENDER, RECIPIENT, "DATA")[-1].startswith(b"354 ")
    client.send(part)
    client.leave(way[1])
    message = events.wait("message")
    assert message["result"] == "refused"
    assert message["reason"].startswith("cut off: ")
    [connection] = sink.connections
    assert connection.is_over.wait(PATIENCE)
    assert connection.messages == []
    assert b"\n." not in connection.received
    assert_next_message_is_alone(server, sink)


def test_behind_the_dot_the_message_is_delivered(
    way: tuple[str, Departure], client: Client, sink: Sink, events: Events
) -> None:
    may_answer = threading.Event()
    accepted = reply("250 2.0.0 Message accepted for delivery")
    sink.answer = script({".": Answer(accepted.octets, after=may_answer)})
    assert client.say_each(SENDER, RECIPIENT, "DATA")[-1].startswith(b"354 ")
    client.send(MESSAGE + b".\r\n")
    client.leave(way[1])
    may_answer.set()
    message = events.wait("message")
    assert (message["result"], message["reply"]) == ("ok", "250 2.0.0 Message accepted for delivery")
    if way[1] == "half-close":
        assert client.reply() == accepted.octets
        assert client.reply() == b""
    [connection] = sink.connections
    assert len(connection.messages) == 1


@pytest.mark.parametrize("way", [("none", "half-close")])
def test_everything_in_one_packet_and_goodbye(client: Client, sink: Sink) -> None:
    client.send(f"{SENDER}\r\n{RECIPIENT}\r\nDATA\r\n".encode() + MESSAGE + b".\r\nQUIT\r\n")
    client.leave("half-close")
    assert [client.reply()[:3] for _ in range(6)] == [b"250", b"250", b"354", b"250", b"221", b""]
    assert [len(connection.messages) for connection in sink.connections] == [1]


def assert_next_message_is_alone(server: Server, sink: Sink) -> None:
    """What the client left behind has no part in the next message, which may come over the same connection."""
    with Client(server) as client:
        client.log_in(USER, PASSWORD)
        assert client.submit(b"Subject: next\r\n\r\n", "bob@test.example").startswith(b"250 ")
    [message] = [message for connection in sink.connections for message in connection.messages]
    assert message.endswith(b"\r\nSubject: next\r\n\r\n")
    lines = next(bytes(connection.received) for connection in sink.connections if connection.messages).split(b"\r\n")
    data = lines.index(b"RCPT TO:<bob@test.example>")
    assert lines[data - 1].startswith(b"MAIL ")
    assert lines[data - 2] in (b"RSET", b"EHLO mail.example.com")
    assert lines[data + 1] == b"DATA"
