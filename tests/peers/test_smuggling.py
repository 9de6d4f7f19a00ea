"""One submission is at most one message, whatever stands around its dots.

A smuggler hides a second message in the first, behind a dot that the service reads as text and the relay as the end
(CVE-2023-51764 to 51766). So each test sends messages that would be two for a lenient reader, and looks at what came
out at the other end, octet by octet. A sequence is refused, or it is text: then it arrives as it is.
"""

from __future__ import annotations

import itertools

import pytest

from tests.support.client import Client
from tests.support.sink import Sink

BREAKS = [b"".join(octets) for count in range(4) for octets in itertools.product((b"\r", b"\n", b"\0"), repeat=count)]
"""Every mix of up to three."""

HEAD = b"From: carol@example.com\r\n\r\nfirst"
SMUGGLED = b"MAIL FROM:<eve@example.com>\r\nRCPT TO:<bob@test.example>\r\nDATA\r\nFrom: eve\r\n\r\nsecond\r\n"
REFUSED = b"554 5.6.0 Message refused: it holds a CR or LF that is not part of CR LF, or a NUL\r\n"


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


def messages(before: bytes) -> list[bytes]:
    """Two messages in one, for each of the breaks behind the dot but the true end, which hides nothing."""
    endings = [after for after in BREAKS if not (before.endswith(b"\r\n") and after.startswith(b"\r\n"))]
    return [HEAD + before + b"." + after + SMUGGLED for after in endings]


def is_clean(message: bytes) -> bool:
    return not set(message.replace(b"\r\n", b"")) & set(b"\r\n\0")


@pytest.mark.parametrize("before", BREAKS, ids=repr)
def test_at_most_one_message_goes_downstream(before: bytes, client: Client, sink: Sink) -> None:
    for message in messages(before):
        heard = client.submit(message, "alice@test.example")
        assert heard.startswith(b"250 ") if is_clean(message) else heard == REFUSED, message
        assert client.say("NOOP").startswith(b"250 "), message  # what comes next is answered next
    taken = [message for connection in sink.connections for message in connection.messages]
    assert [message[message.index(b"From:") :] for message in taken] == list(filter(is_clean, messages(before)))
    octets = b"".join(bytes(connection.received) for connection in sink.connections)
    for message in taken:
        octets = octets.replace(message, b"", 1)
    assert b"eve" not in octets
    assert octets.count(b"MAIL FROM:<carol@example.com>\r\n") == len(messages(before))


@pytest.mark.parametrize("before", BREAKS, ids=repr)
def test_nor_does_more_than_one_by_bdat_where_no_dot_ends_anything(before: bytes, client: Client, sink: Sink) -> None:
    texts = [HEAD + before + b"." + after + SMUGGLED for after in BREAKS]
    for text in texts:
        cut = len(HEAD) + len(before) + 1  # right behind the dot
        envelope = b"MAIL FROM:<carol@example.com>\r\nRCPT TO:<alice@test.example>\r\n"
        client.send(envelope + b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (cut, text[:cut], len(text) - cut, text[cut:]))
        heard = [client.reply() for _ in range(4)]
        assert all(reply.startswith(b"250 ") for reply in heard[:2])
        assert is_clean(text) == heard[3].startswith(b"250 "), text
        assert is_clean(text) or REFUSED in heard, text
        assert client.say("NOOP").startswith(b"250 "), text
        client.say("RSET")
    taken = [message for connection in sink.connections for message in connection.messages]
    stuffed = [(b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:] for text in texts if is_clean(text)]
    assert [message[message.index(b"From:") :] for message in taken] == stuffed
    octets = b"".join(bytes(connection.received) for connection in sink.connections)
    for message in taken:
        octets = octets.replace(message, b"", 1)
    assert b"eve" not in octets
