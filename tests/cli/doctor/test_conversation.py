"""A client that whatever answers can't hold, fill or fool."""

from __future__ import annotations

import ssl
from ipaddress import ip_network
from pathlib import Path

import pytest

from submission.cli.doctor import conversation
from submission.cli.doctor.conversation import Conversation, ConversationError, HandshakeError
from submission.cli.doctor.doors import tolerant
from submission.config.values import TcpAddress, UnixAddress
from tests.cli.doctor.conftest import Installation
from tests.support.network import free_port, wait_until
from tests.support.sink import Answer, Sink, script


def address(sink: Sink) -> TcpAddress:
    return TcpAddress("127.0.0.1", sink.port)


def test_replies_of_one_line_and_of_several() -> None:
    with Sink(script(keywords=("SIZE 1000", "auth PLAIN LOGIN"))) as sink, Conversation(address(sink)) as talk:
        assert talk.greeting.text == "220 relay.test.example ESMTP"
        assert talk.client == "127.0.0.1"
        assert talk.hello("client.example") == {"SIZE": "1000", "AUTH": "PLAIN LOGIN"}
        assert talk.say("NOOP").code == 250


@pytest.mark.parametrize(
    ("greeting", "complaint"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "no SMTP reply, but b'HTTP/1.1 400 Bad Request"),
        (b"", "it closed the connection"),
        (b"220-half of a", "it closed the connection"),
        (b"220-more\r\n" * 5000, "a reply without end"),
        (b"220 " + b"x" * 100_000, "a line without end"),
        (b"999 \r\n", "no SMTP reply"),
    ],
)
def test_what_is_no_reply(greeting: bytes, complaint: str) -> None:
    answer = Answer(greeting, "close")
    with Sink(script({"connect": answer})) as sink, pytest.raises(ConversationError, match=complaint):
        Conversation(address(sink))


def test_who_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PATIENCE", 0.05)
    with Sink(script({"connect": Answer(then="silence")})) as sink, pytest.raises(ConversationError, match="timed out"):
        Conversation(address(sink))


def test_who_goes_on_for_ever_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PATIENCE", 0.2)

    def talk() -> None:
        with Sink() as sink, Conversation(address(sink)) as endless:
            while True:
                endless.say("NOOP")

    with pytest.raises(ConversationError, match=r"not done within|timed out"):
        talk()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ConversationError, match="Connection refused"):
        Conversation(TcpAddress("127.0.0.1", free_port()))
    with pytest.raises(ConversationError, match="No such file"):
        Conversation(UnixAddress(tmp_path / "none"))


def test_a_server_that_does_not_speak_tls() -> None:
    with Sink() as sink, pytest.raises(HandshakeError, match="wrong version number"):
        Conversation(address(sink), implicit=tolerant(), name="relay.test.example")


def test_a_certificate_that_is_not_vouched_for(installation: Installation) -> None:
    nobody_trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(HandshakeError, match="self-signed certificate in certificate chain"):
        Conversation(TcpAddress("127.0.0.1", installation.server.ports["implicit"]), implicit=nobody_trusted, name="x")


def test_a_balancer_s_listener_takes_us_for_a_stranger(installation: Installation) -> None:
    balancers = (ip_network("127.0.0.1/32"),)
    door = TcpAddress("127.0.0.1", installation.server.ports["balanced-starttls"])
    with Conversation(door, balancers=balancers) as talk:
        assert talk.client == "192.0.2.1"
        assert talk.greeting.code == 220
        talk.say("QUIT")
    wait_until(lambda: any("ip=192.0.2.1" in line for line in installation.server.log("connection")))


def test_no_header_where_none_is_owed() -> None:
    with Sink() as sink, Conversation(address(sink), balancers=(ip_network("10.0.0.0/8"),)) as talk:
        assert talk.client == "127.0.0.1"
        assert talk.say("NOOP") is not None
        assert not bytes(sink.connections[0].received).startswith(b"PROXY")
