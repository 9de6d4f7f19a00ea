"""Many clients at once: connections to sendmail are shared and commands overlap, messages and replies never mix."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support.client import Client
from tests.support.sendmail import Sendmail
from tests.support.server import Server

CLIENTS, MESSAGES = 24, 4


@pytest.fixture(scope="module")
def relay(sendmail_of_module: Sendmail) -> Sendmail:
    return sendmail_of_module


def message(client: int, number: int) -> bytes:
    """One that no other client sends, and no two are of one size."""
    head = (
        b"From: carol@example.com\r\nDate: Sat, 21 Nov 2026 04:29:07 +0100\r\nMessage-ID: <%d.%d@example.com>\r\n\r\n"
    )
    return head % (client, number) + b"%d\r\n" % client * (number * 1000 + client)


def submit_several(server: Server, number: int) -> None:
    """Submit messages, pipelined, each to a good recipient and to one whose refusal names this client."""
    with Client(server) as client:
        assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        for count in range(MESSAGES):
            lines = (
                f"MAIL FROM:<client{number}@example.com>",
                f"RCPT TO:<nobody{number}.{count}@test.example>",
                f"RCPT TO:<message{number}.{count}@remote.example>",
                "DATA",
            )
            client.send("".join(f"{line}\r\n" for line in lines).encode())
            assert f"<client{number}@example.com>".encode() in client.reply()
            assert client.reply().startswith(f"550 5.1.1 <nobody{number}.{count}@test.example>".encode())
            assert f"<message{number}.{count}@remote.example>".encode() in client.reply()
            assert client.reply().startswith(b"354 ")
            assert client.send_message(message(number, count)).startswith(b"250 ")


def test_everybody_s_messages_arrive_once(server: Server, sendmail: Sendmail) -> None:
    with ThreadPoolExecutor(CLIENTS) as executor:
        for done in [executor.submit(submit_several, server, number) for number in range(CLIENTS)]:
            done.result()
    expected = {
        f"message{number}.{count}@remote.example": (f"client{number}@example.com", message(number, count))
        for number in range(CLIENTS)
        for count in range(MESSAGES)
    }
    deliveries = sendmail.deliveries()
    assert len(deliveries) == len(expected)
    for delivery in deliveries:
        sender, content = expected.pop(delivery.recipient)
        assert delivery.sender == sender
        assert delivery.content == content.replace(b"\r\n", b"\n")
