"""A whole session between a client's octets and a relay: the real one, in a loop without sockets (loop.py).

The input's first octet chooses where it begins: fresh, after EHLO, after AUTH, in a transaction, or in DATA; the second
what the relay refuses and offers. The rest is what the client sends, in packets with 0xFE between them, each of which
arrives when the session has nothing left to do. STARTTLS works; what is sent behind it counts as sent under TLS.

- The relay hears MAIL only if a login was logged before, under this TLS, and the client is only told 235 if it sent the
  password.
- The relay hears nothing but commands of ours with what the client sent in them, and messages without a bare CR, LF
  or NUL, which are the client's own with a Received field on top (relay.py).
- The client hears as many yeses of the relay's as that has taken messages: none is lost, none made up. (One that
  leaves at once, which the second octet chooses too, may miss some.)
- What the client hears is replies, whole lines without controls, each of one code.
- No exception ends anywhere but where it belongs; the session ends, its connection too, and one line is logged for it.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import binascii
import contextlib
import functools
import io
import re
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from fuzz.input import Input
from fuzz.loop import Loop, Wire
from fuzz.relay import REFUSALS, Relay
from fuzz.timing import bounded
from submission import logs
from submission.config.settings import Settings
from submission.core.databases import berkeley_db
from submission.credentials import open_authenticator
from submission.relay.pool import Pool
from submission.smtp.listener import Listener, Shared
from submission.smtp.places import Places
from submission.smtp.session import Session
from submission.smtp.sessions import Sessions
from tests.support.dialogue import Transcript, fill

_BREAK = b"\xfe"
_PASSWORD = b"sesame"
_CREDENTIALS = base64.b64encode(b"\0alice\0" + _PASSWORD)
_HELLO = [b"EHLO client.example\r\n"]
_LOGIN = [*_HELLO, b"STARTTLS\r\n", *_HELLO, b"AUTH PLAIN " + _CREDENTIALS + b"\r\n"]
_TRANSACTION = [*_LOGIN, b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@test.example>\r\n"]
_STARTS = ([], _HELLO, _LOGIN, _TRANSACTION, [*_TRANSACTION, b"DATA\r\n"])
"""What was said before, in packets."""

_TEXT = rb"[^\0-\x08\x0a-\x1f\x7f]*"
_REPLIES = re.compile(rb"(?:(?P<code>[2-5][0-9]{2})(?:-%b\r\n(?P=code))*(?: %b)?\r\n)*" % (_TEXT, _TEXT))
_TRACE = re.compile(rb"Received: [^\r\n]*\r\n(?:[\t ][^\r\n]*\r\n)*")
_TAKEN = b"taken-by-the-relay"
_LINGERING, _PATIENCE = 60.0, 600.0
"""Seconds that a client stays which has said everything, and that a session may take."""
_DIALOGUES = Path(__file__).parents[2] / "tests" / "dialogues"
_MAX_SEED = 2000


def seeds() -> Iterator[bytes]:
    """What clients say in the dialogues of the tests, from each start."""
    for path in sorted(_DIALOGUES.rglob("*.txt")):
        said = _client_of(Transcript.read(path))
        if len(said) <= _MAX_SEED:
            yield from (bytes([start, 0]) + said for start in (0, 2))
    body = b"Subject: x\r\n\r\n..\r\ntext\r\n.\r\n"
    for choice in range(2 * 2 * 2 * len(REFUSALS)):
        yield bytes([3, choice]) + b"DATA\r\n" + _BREAK + body + b"QUIT\r\n"
        yield bytes([3, choice]) + b"BDAT 5\r\nabc\r\nBDAT 3 LAST\r\nx\r\nRSET\r\n"
        yield bytes([4, choice]) + body


def _client_of(transcript: Transcript) -> bytes:
    packets = []
    for step in transcript.steps:
        with contextlib.suppress(ValueError, KeyError):  # an answer to a challenge, which there is none of
            if step.sign == "C:":
                packets.append(b"".join(fill(text) + b"\r\n" for text in step.texts))
            elif step.sign == "C!":
                packets.append(fill(step.text))
    return _BREAK.join(packets)


def check(data: bytes) -> None:
    """Hold a session."""
    choice = Input(data)
    start, behaviour = _STARTS[choice.number(len(_STARTS))], choice.number(256)
    relay = Relay(
        REFUSALS[behaviour % len(REFUSALS)],
        takes_chunks=behaviour // len(REFUSALS) % 2 == 1,
        pipelines=behaviour // len(REFUSALS) // 2 % 2 == 0,
    )
    is_hasty = behaviour // len(REFUSALS) // 4 % 2 == 1
    _settings()  # which take their time, once
    with bounded(), _logged() as log:
        client = _Client([*start, *choice.rest.split(_BREAK)], 0.0 if is_hasty else _LINGERING, log)
        _hold(client, relay)
    assert not client.is_relayed_as_stranger, "relays for somebody who has not logged in"
    _check_replies(client)
    _check_messages(client, relay)
    told = b"".join(client.heard).count(_TAKEN)
    assert told <= len(relay.messages), "makes a message up"
    assert told == len(relay.messages) or is_hasty, "loses a message"
    lines = log.getvalue().splitlines()
    assert not any(" level=" in line or "event=internal-error" in line for line in lines), lines
    assert sum("event=connection " in line for line in lines) == 1, lines
    assert all(line.isprintable() for line in lines), lines


class _Client:
    """What is still to be sent, and what was heard; under each TLS anew."""

    def __init__(self, packets: list[bytes], lingering: float, log: io.StringIO) -> None:
        """`lingering` is how many seconds it stays after its last packet."""
        self.packets = [packet for packet in packets if packet]
        self.sent = [b""]
        self.heard = [b""]
        self.is_relayed_as_stranger = False
        self.wire: Wire | None = None
        self._lingering = lingering
        self._log = log
        self._logged = 0  # characters before this TLS
        self._next = 0
        self._is_leaving = False

    def take(self, octets: bytes) -> None:
        self.heard[-1] += octets

    def act(self) -> bool:
        """Send the next packet, or make ready to close; whether there was something to do."""
        if self.wire is None or self.wire.lost.done() or not self.wire.is_reading or self._is_leaving:
            return False
        if self._next == len(self.packets):
            self._is_leaving = True
            asyncio.get_running_loop().call_later(self._lingering, self._leave)
            return True
        packet = self.packets[self._next]
        self._next += 1
        self.sent[-1] += packet
        self.wire.deliver(packet)
        return True

    def _leave(self) -> None:
        if self.wire is not None:
            self.wire.deliver_end()

    def encrypt(self, wire: Wire) -> None:
        self.wire = wire
        self.sent.append(b"")
        self.heard.append(b"")
        self._logged = self._log.tell()

    def note_mail(self) -> None:
        """See whether the relay may hear MAIL now."""
        if "event=auth result=ok" not in self._log.getvalue()[self._logged :]:
            self.is_relayed_as_stranger = True


class _SessionLoop(Loop):
    """Where connections lead to the relay, and TLS is a promise."""

    def __init__(self, client: _Client, relay: Relay) -> None:
        super().__init__(client.act, _PATIENCE)
        self._client = client
        self._relay = relay
        relay.on_mail = client.note_mail

    async def create_connection(  # type: ignore[override] # it takes less than the original
        self, factory: Callable[[], asyncio.Protocol], *_: object, **__: object
    ) -> tuple[Wire, asyncio.Protocol]:
        """Connect to the relay, whatever the address."""
        protocol = factory()
        return self._relay.accept(self, protocol), protocol

    async def start_tls(  # type: ignore[override] # likewise
        self, _transport: object, protocol: asyncio.BaseProtocol, *_: object, **__: object
    ) -> Wire:
        """Be under TLS at once."""
        wire = Wire(self, protocol, self._client.take, {"ssl_object": _Tls()})
        self._client.encrypt(wire)
        return wire


class _Tls:
    """What a session asks of a connection under TLS."""

    context = None

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256

    def getpeercert(self, **_: bool) -> bytes | None:
        return None


def _hold(client: _Client, relay: Relay) -> None:
    loop = _SessionLoop(client, relay)
    try:
        loop.run_until_complete(_serve(loop, client))
        loop.run_until_complete(asyncio.sleep(1))  # for what the relay is told at last
    finally:
        loop.dismiss()
    assert not loop.faults, loop.faults


async def _serve(loop: Loop, client: _Client) -> None:
    settings, sock = _settings(), _socket()
    authenticator = open_authenticator(settings, threads=1)
    pool = Pool(settings.relay, settings.hostname)
    shared = Shared(settings, pool, authenticator, lambda: datetime(2026, 11, 21, tzinfo=UTC))
    listen = settings.listen[0].model_copy(update={"tls": "starttls"})
    places = Places(1, 1, 1)
    listener = Listener(listen, sock, shared, Sessions(places.row(0)), _context)
    session = Session(listener)
    wire = Wire(loop, session, client.take, {"peername": ("203.0.113.5", 49152)})
    client.wire = wire
    session.connection_made(wire)
    assert session._handler_coroutine is not None
    await session._handler_coroutine
    await client.wire.lost
    assert places.count() == 0, "still counted"
    pool.close()
    authenticator.close()


@functools.cache
def _settings() -> Settings:
    """Those of a service with one account, in a folder that is there until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder)
    store = folder / "sasldb2"
    store.write_bytes(berkeley_db.write({b"alice\0example.com\0userPassword": _PASSWORD}))
    store.chmod(0o600)
    return Settings.model_validate(
        {
            "hostname": "mail.example.com",
            "state_dir": str(folder),
            "listen": [{"address": "127.0.0.1:1", "tls": "none"}],
            "relay": {"address": "127.0.0.1:2"},
            "store": {"url": f"sasldb2:{store}"},
            "auth": {"realm": "example.com", "mechanisms": ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"]},
            "policy": {"complete_header": False},
        }
    )


@functools.cache
def _socket() -> socket.socket:
    """Asked for its family, and never used."""
    sock = socket.socket()
    atexit.register(sock.close)
    return sock


@functools.cache
def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@contextlib.contextmanager
def _logged() -> Iterator[io.StringIO]:
    stream, before = io.StringIO(), logs._output
    logs._output = logs._Output("logfmt", stream)
    try:
        yield stream
    finally:
        logs._output = before


def _check_replies(client: _Client) -> None:
    for sent, heard in zip(client.sent, client.heard, strict=True):
        assert _REPLIES.fullmatch(heard), heard
        if b"235 " in heard:
            assert any(_PASSWORD in decoded for decoded in map(_decode, re.split(rb"[^A-Za-z0-9+/=]+", sent)))


def _decode(word: bytes) -> bytes:
    with contextlib.suppress(binascii.Error):
        return base64.b64decode(word)
    return b""


def _check_messages(client: _Client, relay: Relay) -> None:
    sent = b"".join(client.sent)
    assert all(path in sent for path in relay.paths), "makes an address up"
    for message in relay.messages:
        trace = _TRACE.match(message)
        assert trace, message
        if b"BDAT" not in sent.upper():
            assert message[trace.end() :] in sent
