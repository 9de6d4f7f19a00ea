"""Whatever somebody calls himself, it goes nowhere as it is: not into the log, to the relay, or onto a terminal.

Line breaks would make lines of a stranger's own in a log, a header or a dialogue; escapes and what turns the direction
of a text would have a terminal show what isn't there. They come in by every name that somebody else chooses: in
commands, AUTH, PROXY headers, certificates, the mail server's log and the relay's replies. (Names are never looked up:
there is no reverse DNS that could say anything.) Each is tried on a service that logs to standard error, and on one
that logs to syslogd.
"""

from __future__ import annotations

import base64
import hmac
import re
import struct
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509

from submission.cli.main import commands
from tests.support.client import Client
from tests.support.client_authority import ClientAuthority
from tests.support.granting import EVE, JOE, MailLog, pop
from tests.support.network import free_port, wait_until
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Answer, Sink, script
from tests.support.system_log import SystemLogReader, launcher
from tests.support.terminal import Terminal

BREAKS = ("\r\n", "\n", "\r", "\0", "\x85", "\u2028", "\u2029", "\x0b", "\x0c")
ESCAPES = (
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\x9b2J",
    "\x08\x08",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200f",
    "\ufeff",
    "\U000e0041",
)
NAMES = [f"eve{each}event=forged" for each in (*BREAKS, *ESCAPES)]
RAW = b"eve\xff\x9b2Jevent=forged"
"""No UTF-8, and an escape for terminals that don't know it."""
WORDS = [*(name.encode() for name in NAMES), RAW]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = bytes((203, 0, 113, 5, 192, 0, 2, 1, 0xC0, 0, 2, 0x4B))


RECORDS = {
    "stderr": re.compile(r"time=\S+ (event=.*)"),
    "syslog": re.compile(r"<(?:19|20|21)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d submission\[\d+\]: (event=.*)"),
}
"""What a line is wherever it can go, from beginning to end. The priorities are those of `mail`."""
LAST = ip_network("127.0.1.0/24").hosts()
"""Who comes when a test is over, each once."""
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')

Lines = Callable[[], list[str]]
"""All that the service has logged so far, in order."""


@pytest.fixture(scope="module", params=RECORDS)
def target(request: pytest.FixtureRequest) -> str:
    """Where the service logs to."""
    return str(request.param)


@pytest.fixture(scope="module")
def folder(target: str) -> Iterator[Path]:
    """A service, and all that it knows, is for one target."""
    with public_folder() as path:
        yield path


@pytest.fixture(scope="module")
def syslogd(folder: Path) -> Iterator[SystemLogReader]:
    with SystemLogReader(folder / "syslog") as reader:
        yield reader


@pytest.fixture(scope="module")
def clients(folder: Path) -> ClientAuthority:
    authority = ClientAuthority()
    (folder / "clients.pem").write_bytes(authority.pem)
    return authority


@pytest.fixture(scope="module")
def mail_log(folder: Path) -> MailLog:
    (folder / "logs").mkdir()
    return MailLog(folder / "logs" / "mail.log")


@pytest.fixture(scope="module")
def settings(target: str, folder: Path, mail_log: MailLog) -> Settings:
    oauth = {"issuer": "https://id.example.com", "audience": ["mail"], "client_id": "mail", "client_secret_file": "id"}
    oauth["introspection"] = f"http://127.0.0.1:{free_port()}/"  # which nobody answers
    mechanisms = ("SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "EXTERNAL", "OAUTHBEARER", "XOAUTH2")
    return {
        "log": {"syslog": "mail" if target == "syslog" else ""},
        "auth": {
            "mechanisms": list(mechanisms),
            "require_tls": False,
            "certificate": [{"user": "carol", "subject": "CN=carol"}],
            "oauth": oauth,
        },
        "tls": {"client_ca": "clients.pem"},
        "limits": {"auth_failures": 1000, "user": {"messages_per_hour": 1000}},
        "policy": {"hide_client": False, "from_header": "own"},
        "pop_before_smtp": {
            "enabled": True,
            "logs": [str(mail_log.path)],
            "formats": ["dovecot"],
            "sendmail": {"text_map": "popip.txt"},
        },
        "metrics": {"address": f"127.0.0.1:{free_port()}"},
    }


@pytest.fixture(scope="module")
def server(
    folder: Path, sink_of_module: Sink, settings: Settings, clients: ClientAuthority, syslogd: SystemLogReader
) -> Iterator[Server]:
    """It shows dialogues in its log, too."""
    (folder / "server").mkdir()
    server = Server(folder / "server", sink_of_module.address, settings, launcher(folder / "syslog"))
    (server.folder / "clients.pem").write_bytes(clients.pem)
    (server.folder / "id").write_text("secret")
    (server.folder / "id").chmod(0o644)
    server.options = ("--debug",)
    server.add_user("carol", "correct horse")
    with server:
        yield server


@pytest.fixture(scope="module")
def lines(target: str, server: Server, syslogd: SystemLogReader) -> Lines:
    """A datagram is a line: what breaks within it would be lines of syslogd's."""
    if target == "stderr":
        return server.log
    return lambda: [datagram.decode() for datagram in syslogd.datagrams]


@pytest.fixture
def sink(sink_of_module: Sink) -> Sink:
    """It has no connection from before."""
    sink_of_module.disconnect()
    sink_of_module.connections.clear()
    sink_of_module.answer = script()
    return sink_of_module


@pytest.fixture(autouse=True)
def nothing_is_obeyed(target: str, server: Server, lines: Lines, sink: Sink) -> Iterator[None]:
    """Whatever a test does: each line that was logged is one, and the relay got nothing but what it should."""
    yield
    see_all_logged(server, lines)
    for line in lines():
        record = RECORDS[target].fullmatch(line)
        assert record, repr(line)
        assert line.isprintable(), repr(line)
        assert QUOTED.sub("", record[1]).count("event=") == 1, line
    for connection in sink.connections:
        for octets in connection.received.split(b"\r\n"):
            assert octets.decode("ascii").replace("\t", "").isprintable(), octets


def see_all_logged(server: Server, lines: Lines) -> None:
    """Wait for the line of a connection that began now: what was logged before it is there then.

    What syslogd had no room for goes with a later line, so there are such connections until one is seen.
    """
    source = str(next(LAST))

    def is_seen() -> bool:
        with Client(server, "none", source=source) as client:
            client.say("QUIT")
        return any(f"event=connection ip={source} " in line for line in lines())

    wait_until(is_seen)


def hear(client: Client, line: bytes) -> bytes:
    """Send a line; our reply, which must not hold what the line did."""
    client.send(line + b"\r\n")
    reply = client.reply()
    assert all(each.decode("ascii").isprintable() for each in reply.split(b"\r\n")), reply
    return reply


def test_in_commands(server: Server, sink: Sink) -> None:
    for word in WORDS:
        lines = [
            *(b"EHLO %b", b"HELO %b", b"%b", b"VRFY %b", b"AUTH %b", b"AUTH PLAIN %b", b"BDAT 0 %b", b"STARTTLS %b"),
            *(b"MAIL FROM:<%b@example.com>", b'MAIL FROM:<"%b"@example.com>', b"MAIL FROM:<carol@example.com> %b"),
            *(b"MAIL FROM:<carol@example.com> ENVID=%b", b"MAIL FROM:<carol@example.com> AUTH=%b"),
            *(b"RCPT TO:<%b@test.example>", b"RCPT TO:<a@test.example> ORCPT=rfc822;%b", b"NOOP %b", b"HELP %b"),
        ]
        for line in lines:
            with Client(server) as client:
                client.log_in("carol", "correct horse")
                if line.startswith(b"RCPT"):
                    client.say("MAIL FROM:<carol@example.com>")
                assert hear(client, line % word).startswith((b"5", b"250", b"252 ", b"214 "))


def test_in_a_hello_before_a_message(server: Server, sink: Sink) -> None:
    """What EHLO takes is in Received."""
    for word in WORDS:
        with Client(server) as client:
            client.log_in("carol", "correct horse")
            hear(client, b"EHLO " + word)
            if b"\n" in word:  # what stands behind that is a command, and none that is known
                assert client.reply().startswith(b"500 ")
            assert client.submit(b"From: carol@example.com\r\n\r\nx\r\n", "bob@test.example").startswith(b"250 ")
    sources = [message.splitlines()[0] for connection in sink.connections for message in connection.messages]
    assert len(sources) == len(WORDS)
    assert {source.split(b" (")[0] for source in sources} == {
        *(b"Received: from unknown", b"Received: from client.example", b"Received: from eve")
    }


def authenticate(client: Client, mechanism: str, *answers: bytes) -> bytes:
    """Answer each challenge; the last reply."""
    heard = client.say(f"AUTH {mechanism}")
    for answer in answers:
        if heard.startswith(b"334 "):
            heard = hear(client, base64.b64encode(answer))
    return client.say("*") if heard.startswith(b"334 ") else heard


EXCHANGES: dict[str, Callable[[bytes], tuple[bytes, ...]]] = {
    "PLAIN": lambda name: (name + b"\0" + name + b"\0wrong",),
    "LOGIN": lambda name: (name, b"wrong"),
    "CRAM-MD5": lambda name: (name + b" " + hmac.new(b"wrong", b"", "md5").hexdigest().encode(),),
    "SCRAM-SHA-256": lambda name: (b"n,a=" + name + b",n=" + name + b",r=nonce" + name, b"c=biws,r=x,p=AAAA"),
    "DIGEST-MD5": lambda name: (b'username="%b",realm="%b",nonce="%b",cnonce="%b",nc=00000001' % ((name,) * 4),),
    "EXTERNAL": lambda name: (name,),
    "OAUTHBEARER": lambda name: (b"n,a=" + name + b",\1auth=Bearer " + name + b"\1\1", b"\1"),
    "XOAUTH2": lambda name: (b"user=" + name + b"\1auth=Bearer " + name + b"\1\1", b""),
}
"""Mechanism to what a client answers that is called so."""


@pytest.mark.parametrize("mechanism", EXCHANGES)
def test_in_the_name_that_somebody_logs_in_with(
    mechanism: str, server: Server, folder: Path, clients: ClientAuthority
) -> None:
    certificate = clients.issue(folder / "carol.pem", "CN=carol")
    with Client(server, "implicit", certificate=certificate) as client:
        client.say("EHLO client.example")
        for word in WORDS:
            heard = authenticate(client, mechanism, *EXCHANGES[mechanism](word))
            assert heard.startswith((b"535 ", b"501 ", b"454 ")), (word, heard)


def test_in_a_certificate(server: Server, folder: Path, clients: ClientAuthority, lines: Lines) -> None:
    for name in NAMES:
        subject = x509.Name([x509.NameAttribute(oid, name) for oid in (x509.NameOID.COMMON_NAME, x509.NameOID.TITLE)])
        certificate = clients.issue(folder / "hostile.pem", subject.rfc4514_string())
        Client(server, "implicit", certificate=certificate).leave("close")
    see_all_logged(server, lines)
    assert sum("event=client-certificate" in line for line in lines()) >= len(NAMES)


def test_in_a_proxy_header(server: Server) -> None:
    for word in WORDS:
        rest = V4 + b"".join(struct.pack("!BH", kind, len(word)) + word for kind in (0x01, 0x02, 0x05, 0xE0))
        for header in (
            b"PROXY TCP4 " + word + b" 192.0.2.1 49152 587\r\n",
            b"PROXY UNKNOWN " + word + b"\r\n",
            SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(rest)) + rest,
        ):
            with server.connect("balanced-starttls") as sock:
                sock.sendall(header + b"QUIT\r\n")
                heard = sock.makefile("rb").read()
                assert heard == b"" or heard.startswith(b"220 ")
                assert heard.isascii()


def test_in_from(server: Server, sink: Sink) -> None:
    for word in WORDS:
        with Client(server) as client:
            client.log_in("carol", "correct horse")
            for author in (b'"%b" <eve@example.org>', b"<%b@example.org>", b'<"%b"@example.org>', b"%b"):
                for line in (b"MAIL FROM:<carol@example.com>", b"RCPT TO:<bob@test.example>", b"DATA"):
                    hear(client, line)
                heard = hear(client, b"From: " + author % word + b"\r\n\r\nx\r\n.")
                assert heard.startswith((b"553 ", b"554 ")), heard


def test_in_the_relay_s_replies(server: Server, sink: Sink) -> None:
    for word in WORDS:
        if set(word) & set(b"\r\n"):
            continue
        said = b"550 5.1.1 No such user " + word + b"\r\n"
        sink.answer = script({"RCPT": Answer(said)})
        with Client(server) as client:
            client.log_in("carol", "correct horse")
            client.say("MAIL FROM:<carol@example.com>")
            heard = client.say("RCPT TO:<bob@test.example>")
            assert (
                heard == bytes(octet if octet >= 32 and octet != 127 else ord("?") for octet in said[:-2]) + said[-2:]
            )


def test_in_the_mail_server_s_log(server: Server, mail_log: MailLog, sink: Sink) -> None:
    """Who has read mail under such a name may send, if it is a name at all; it is shown as what it is nowhere."""
    for name in NAMES:
        mail_log.log_in(name, JOE)
    mail_log.log_in("eve\u202e@example.com", EVE)
    wait_until(lambda: EVE in pop(server, "list"))
    options = ("-c", str(server.configuration))
    with Client(server, "balanced-starttls", proxied_for=EVE) as client:
        client.say("EHLO client.example")
        client.say_each("MAIL FROM:<x@example.com>", "RCPT TO:<bob@test.example>", "DATA")
        for command in (("pop", "list"), ("pop", "report"), ("status", "--once"), ("limits", "show")):
            printed = CliRunner().invoke(commands, [*command, *options]).output
            assert all(line.replace("\t", "").isprintable() for line in printed.split("\n")), printed
            assert r"eve\u202e@example.com" in printed, command
        client.send(b"From: x@example.com\r\n\r\nx\r\n.\r\n")
        assert client.reply().startswith(b"553 ")
    with Terminal(sys.executable, "-m", "submission", "pop", "list", *options) as terminal:
        terminal.finish()
        assert r"eve\u20" in terminal.screen  # the rest is in the column's next line
        assert not set("\x9b\x08\x7f\u202e\u2066\u200f\ufeff") & set(terminal.screen)
    address = tomllib.loads(server.configuration.read_text())["metrics"]["address"]
    with urllib.request.urlopen(f"http://{address}/status.json", timeout=20) as page:
        assert page.read().isascii()
    popip = (server.folder / "popip.txt").read_text()
    assert all(line.isascii() and line.isprintable() for line in popip.splitlines()), popip
