"""A large message passes through and is never held: as many octets as came arrive, and memory hardly grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.sendmail import Sendmail
from tests.support.server import Server, Settings

SIZE = 100 << 20
GROWTH = 16 << 20
HEAD = b"From: carol@example.com\r\nDate: Sat, 21 Nov 2026 04:29:07 +0100\r\nMessage-ID: <1@example.com>\r\n\r\n"
ALICE = "alice@test.example"


@pytest.fixture(scope="module")
def relay(sendmail_of_module: Sendmail) -> Sendmail:
    return sendmail_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"limits": {"message_size": "110MiB"}}


def chunks() -> Iterator[bytes]:
    """A message of a little more than SIZE, no two lines alike, a mebibyte and its line ends at a time."""
    yield HEAD
    for number in range(SIZE >> 20):
        text = hashlib.shake_128(b"%d" % number).hexdigest(1 << 19).encode()
        yield b"".join(text[start : start + 64] + b"\r\n" for start in range(0, len(text), 64))


def test_a_hundred_mebibytes(client: Client, server: Server, sendmail: Sendmail) -> None:
    assert client.submit(HEAD, ALICE).startswith(b"250 ")
    sendmail.forget()
    before = server.peak_memory()
    sent = hashlib.sha256()
    envelope = ("MAIL FROM:<carol@example.com>", f"RCPT TO:<{ALICE}>", "DATA")
    assert client.say_each(*envelope)[-1].startswith(b"354 ")
    for chunk in chunks():
        client.send(chunk)
        sent.update(chunk.replace(b"\r\n", b"\n"))
    assert client.send_message(b"").startswith(b"250 ")
    assert server.peak_memory() - before < GROWTH
    [delivery] = sendmail.deliveries()
    assert len(delivery.content) > SIZE
    assert hashlib.sha256(delivery.content).digest() == sent.digest()
