"""Whatever trick is in a header, what a real sendmail delivers says From only what the user may say."""

from __future__ import annotations

import re

import pytest

from tests.support.client import Client
from tests.support.sendmail import Sendmail
from tests.support.server import Server, Settings

OURS, FOREIGN = b"From: carol@example.com\r\n", b"From: ceo@example.com\r\n"
HEADERS = [
    OURS,
    FOREIGN,
    b"",
    b"Subject: x\r\n",
    OURS + FOREIGN,
    FOREIGN + OURS,
    b"." + FOREIGN,
    b"." + OURS,
    OURS + b"." + FOREIGN,
    OURS + b".\t<ceo@example.com>\r\n",
    b".." + FOREIGN + OURS,
    b"From ceo Sat Nov 21 10:00:00 2026\r\n" + FOREIGN,
    b"From ceo Sat Nov 21 10:00:00 2026\r\n" + OURS,
    b"no field\r\n" + FOREIGN,
    OURS + b"no field\r\n" + FOREIGN,
    b"--boundary: x\r\n" + OURS,
    OURS + b"--boundary: x\r\n" + FOREIGN,
    b" " + FOREIGN + OURS,
    b"From : ceo@example.com\r\n",
    b"From\t:\r\n ceo@example.com\r\n",
    b"FROM: ceo@example.com\r\n" + OURS,
    b": x\r\n" + FOREIGN + OURS,
    b'From: "carol@example.com" <ceo@example.com>\r\n',
    b"From: carol@example.com (\r\n <ceo@example.com>)\r\n",
    b"From: carol@example.com, ceo@example.com\r\n",
    b"From: carol@example.com <ceo@example.com>\r\n",
    b"From: <@carol@example.com:ceo@example.com>\r\n",
    b"From: staff: carol@example.com, ceo@example.com;\r\n",
    b"From: ceo@example.com\r\nX: " + b"x" * 900 + b"\r\n" + OURS,
    b"X: y\r\n" * 2000 + FOREIGN,
]


@pytest.fixture(scope="module")
def relay(sendmail_of_module: Sendmail) -> Sendmail:
    return sendmail_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"policy": {"from_header": "own"}}


def from_fields(delivered: bytes) -> list[bytes]:
    header = re.sub(rb"\n[\t ]+", b" ", delivered.partition(b"\n\n")[0])
    return [line.lower() for line in header.split(b"\n") if re.match(rb"(?i)from[\t ]*:", line)]


def test_no_trick_in_a_header_is_delivered(client: Client, sendmail: Sendmail) -> None:
    taken = []
    for header in HEADERS:
        for body in (b"\r\nbody\r\n", b""):
            heard = client.submit(header + body, "alice@test.example")
            assert heard[:4] in (b"250 ", b"553 ", b"554 ", b"552 "), header
            if heard.startswith(b"250 "):
                taken.append(header)
    assert set(taken) == {
        *(OURS, b"." + OURS, b"From: carol@example.com (\r\n <ceo@example.com>)\r\n", b".." + FOREIGN + OURS)
    }
    delivered = [from_fields(delivery.content) for delivery in sendmail.deliveries()]
    assert len(delivered) == len(taken)
    assert all(len(fields) == 1 and fields[0].startswith(b"from: carol@") for fields in delivered), delivered


def test_sendmail_takes_a_dot_from_a_field_s_front(server: Server, sendmail: Sendmail) -> None:
    """Why the dot is a trick at all."""
    with Client(server) as client:
        client.log_in("carol", "correct horse")
        assert client.submit(b"." + OURS + b"\r\nbody\r\n", "alice@test.example").startswith(b"250 ")
    [delivery] = sendmail.deliveries()
    assert from_fields(delivery.content) == [b"from: carol@example.com"]
