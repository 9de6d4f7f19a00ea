"""What sendmail refuses, or isn't there for: the client hears its words, and every accepted copy is delivered once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.events import Events
from tests.support.milter import Milter
from tests.support.sendmail import Sendmail
from tests.support.server import Server

ALICE = "alice@test.example"
SENDER = "MAIL FROM:<carol@example.com>"
POLICY = (
    "550-5.7.1 This mailbox is closed.",
    "550-5.7.1 ",
    "550 5.7.1 Please write to <alice@test.example>, thank you.",
)
MESSAGE = (
    b"From: carol@example.com\r\nDate: Sat, 21 Nov 2026 04:29:07 +0100\r\nMessage-ID: <1@example.com>\r\n\r\nHi\r\n"
)


@pytest.fixture(scope="module")
def sendmail_of_module(folder: Path) -> Iterator[Sendmail]:
    refusals = {"full@test.example": "4.2.2:452 Mailbox full"}
    with (
        Milter({"closed@test.example": POLICY}) as milter,
        Sendmail(folder / "sendmail", ("alice", "closed"), refusals, milter=milter.port) as sendmail,
    ):
        yield sendmail


@pytest.fixture(scope="module")
def relay(sendmail_of_module: Sendmail) -> Sendmail:
    return sendmail_of_module


def ask(sendmail: Sendmail, *commands: str) -> bytes:
    """What sendmail itself replies to the last of these commands."""

    def read() -> bytes:
        lines = [stream.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(stream.readline())
        return b"".join(lines)

    with socket.create_connection(("127.0.0.1", sendmail.port)) as sock, sock.makefile("rb") as stream:
        heard = read()
        for command in commands:
            sock.sendall(f"{command}\r\n".encode())
            heard = read()
    return heard


@pytest.mark.parametrize(
    ("recipient", "beginning"),
    [
        ("Nobody@Test.Example", b"550 5.1.1 <Nobody@Test.Example>... User unknown\r\n"),
        ("full@test.example", b"452 4.2.2 "),
        (
            "closed@test.example",
            b"550-5.7.1 <closed@test.example>... This mailbox is closed.\r\n550-5.7.1 \r\n550 5.7.1 ",
        ),
    ],
)
def test_a_refused_recipient_hears_sendmail_word_for_word(
    recipient: str, beginning: bytes, client: Client, sendmail: Sendmail
) -> None:
    command = f"RCPT TO:<{recipient}>"
    assert client.say(SENDER).startswith(b"250 ")
    heard = client.say(command)
    assert heard == ask(sendmail, "EHLO client.example", SENDER, command)
    assert heard.startswith(beginning)


def test_the_null_sender_and_a_refused_sender(client: Client, sendmail: Sendmail) -> None:
    unqualified = "MAIL FROM:<carol>"
    assert client.say(unqualified) == ask(sendmail, "EHLO client.example", unqualified)
    assert client.say("MAIL FROM:<>").startswith(b"250 ")


def test_one_good_and_one_refused_recipient_make_one_copy(client: Client, sendmail: Sendmail, events: Events) -> None:
    replies = client.say_each(SENDER, f"RCPT TO:<{ALICE}>", "RCPT TO:<nobody@test.example>", "DATA")
    assert [reply[:3] for reply in replies] == [b"250", b"250", b"550", b"354"]
    accepted = client.send_message(MESSAGE)
    assert accepted.startswith(b"250 2.0.0 ")
    assert accepted.endswith(b"Message accepted for delivery\r\n")
    assert [delivery.recipient for delivery in sendmail.deliveries()] == [ALICE]
    message = events.wait("message")
    assert (message["result"], message["nrcpt"]) == ("ok", "1")
    assert message["reply"] == accepted.decode().rstrip()


def test_with_sendmail_stopped_the_client_hears_451_and_can_come_again(client: Client, sendmail: Sendmail) -> None:
    with sendmail.stopped():
        assert client.say(SENDER) == b"451 4.4.1 The mail system is not answering, please try again later\r\n"
        assert client.say(f"RCPT TO:<{ALICE}>").startswith(b"503 ")
        assert client.say("DATA").startswith(b"503 ")
    assert sendmail.deliveries() == []
    client.submit_until_taken(MESSAGE, ALICE)
    [delivery] = sendmail.deliveries()
    assert delivery.content == MESSAGE.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("commands", [1, 2, 3], ids=["before RCPT", "before DATA", "in the message"])
def test_when_sendmail_goes_in_a_transaction_nothing_is_lost_or_doubled(
    commands: int, client: Client, sendmail: Sendmail, events: Events
) -> None:
    transaction = [SENDER, f"RCPT TO:<{ALICE}>", "DATA"]
    assert client.say_each(*transaction[:commands])[-1][:1] in b"23"
    with sendmail.stopped():
        heard = client.say(transaction[commands]) if commands < 3 else client.send_message(MESSAGE)
    assert heard == b"451 4.4.2 The connection to the mail system was lost, please try again later\r\n"
    assert events.wait("message")["result"] == "refused"
    assert sendmail.deliveries() == []
    client.submit_until_taken(MESSAGE, ALICE)
    assert len(sendmail.deliveries()) == 1


def test_the_service_starts_without_sendmail(sendmail: Sendmail, server: Server) -> None:
    with sendmail.stopped():
        assert server.stop() == 0
        server.start()
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        client.submit_until_taken(MESSAGE, ALICE)
    assert len(sendmail.deliveries()) == 1


@pytest.mark.parametrize("stray", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n"])
def test_what_sendmail_might_take_for_an_end_never_gets_there(stray: bytes, client: Client, sendmail: Sendmail) -> None:
    smuggled = b"MAIL FROM:<eve@example.com>\r\nRCPT TO:<bob@test.example>\r\nDATA\r\n\r\nsecond\r\n"
    assert client.submit(MESSAGE + b"first" + stray + smuggled, ALICE).startswith(b"554 5.6.0 ")
    assert client.submit(MESSAGE, ALICE).startswith(b"250 ")
    [delivery] = sendmail.deliveries()
    assert delivery.content == MESSAGE.replace(b"\r\n", b"\n")
