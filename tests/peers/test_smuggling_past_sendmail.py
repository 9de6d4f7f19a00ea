"""What a real sendmail delivers is what a relay got that reads as strictly as we do: one message, whatever is in it.

The sequences are those that tools which look for smuggling try (SMTP-Smuggling-Tools, smtpsmug, Mox's and Postfix's
tests), each in the middle of a message, by DATA and by BDAT. Which of them are refused is the same whoever the relay
is; what is taken arrives in both as the same text. All mixes of CR, LF and NUL are in test_smuggling.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.peers.test_smuggling import HEAD, REFUSED, SMUGGLED, is_clean
from tests.support.client import Client
from tests.support.sendmail import Sendmail
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Sink

TRICKS = [
    *(
        b"\n.\n",
        b"\r.\r",
        b"\r.\n",
        b"\n.\r",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
    ),
    *(
        b"\n\n.\r\n",
        b"\r\n.\r\r\n",
        b"\r\n.\n\r\n",
        b"\r\n.\r\0\n",
        b"\r\0\n.\r\n",
        b"\n\n.\n\n",
        b"\r\r.\r\r",
    ),
    *(b"\r\n\x85.\x85", b"\x0b.\x0b", b"\x0c.\x0c", b"\x1e.\x1e", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\x1a", b"\x04"),
]
TEXTS = [b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n.x\r\n", b"\r\n ..\r\n", b"\r\n...\r\n"]
ENDS = [b"\r\n.\r\n", b"\r\r\n.\r\n", b"\n\r\n.\r\n"]
"""They end a message by DATA, good or not, and nothing by BDAT."""


@pytest.fixture(scope="module")
def relay(sendmail_of_module: Sendmail) -> Sendmail:
    return sendmail_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"policy": {"complete_header": False}}


@pytest.fixture(scope="module")
def witness(sink_of_module: Sink, settings: Settings) -> Iterator[Server]:
    """Another service, like the first, before a relay that keeps every octet."""
    with public_folder() as folder:
        server = Server(folder, sink_of_module.address, settings)
        server.add_user(USER, PASSWORD)
        with server:
            yield server


def by_data(client: Client, text: bytes) -> bytes:
    return client.submit(text, "alice@test.example")


def by_chunks(client: Client, text: bytes) -> bytes:
    """In two, the first of which ends behind the dot."""
    cut = text.index(b".", len(HEAD)) + 1 if b"." in text[len(HEAD) :] else len(text)
    client.say_each("MAIL FROM:<carol@example.com>", "RCPT TO:<alice@test.example>")
    client.send(b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (cut, text[:cut], len(text) - cut, text[cut:]))
    heard = [client.reply(), client.reply()]
    client.say("RSET")
    return REFUSED if REFUSED in heard else heard[1]


def unstuffed(message: bytes) -> bytes:
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n")[2:]


@pytest.mark.parametrize(("submit", "texts"), [(by_data, TEXTS), (by_chunks, [*TEXTS, *ENDS])], ids=["DATA", "BDAT"])
def test_sendmail_delivers_what_a_strict_relay_gets(
    submit: Callable[[Client, bytes], bytes],
    texts: list[bytes],
    server: Server,
    witness: Server,
    sendmail: Sendmail,
    sink: Sink,
) -> None:
    taken = 0
    for sequence in (*TRICKS, *texts):
        message = HEAD + sequence + SMUGGLED
        for each in (server, witness):
            with Client(each) as client:
                assert client.log_in(USER, PASSWORD).startswith(b"235 ")
                heard = submit(client, message)
                assert heard.startswith(b"250 ") if is_clean(message) else heard == REFUSED, (sequence, heard)
                assert client.say("NOOP").startswith(b"250 "), sequence
        taken += is_clean(message)
    deliveries = sendmail.deliveries()
    got = [unstuffed(message) for connection in sink.connections for message in connection.messages]
    assert len(deliveries) == len(got) == taken
    assert {(delivery.sender, delivery.recipient) for delivery in deliveries} == {
        (f"{USER}@example.com", "alice@test.example")
    }
    bodies = [body(delivery.content.replace(b"\n", b"\r\n")) for delivery in deliveries]
    assert sorted(bodies) == sorted(map(body, got))


def body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]
