"""Mail programs submit, each with every mechanism it knows, over both kinds of TLS; what arrives is what they sent."""

from __future__ import annotations

import base64
import os
import smtplib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support import programs
from tests.support.client import Client
from tests.support.events import Events
from tests.support.sendmail import Sendmail
from tests.support.server import HOSTNAME, Server, Settings

SENDER = "carol@example.com"
RECIPIENT = "alice@test.example"

MESSAGE = "\r\n".join(
    (
        "From: Carol <carol@example.com>",
        "To: Alice <alice@test.example>",
        "Subject: Every line as it is",
        "Date: Sat, 21 Nov 2026 04:29:07 +0100",
        "Message-ID: <1@example.com>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "X-Folded: one",
        "\ttwo",
        "",
        ".",
        "..",
        ".dots at the start, and at the end.",
        "From here on",
        "Grüße, 8 bits wide",
        "blanks behind  ",
        "\t",
        "",
        "a long line " + "x" * 900,
        "",
        "the last line",
        "",
    )
).encode()


@pytest.fixture(scope="module")
def relay(sendmail_of_module: Sendmail) -> Sendmail:
    return sendmail_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"auth": {"mechanisms": ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"]}}


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "message"
    path.write_bytes(MESSAGE)
    return path


def run(*command: str, message: Path | None = None) -> None:
    """Run a mail program with nothing of the user's own configuration, and expect it to be content."""
    programs.require(command[0])
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    with (message or Path(os.devnull)).open("rb") as standard_input:
        result = subprocess.run(command, stdin=standard_input, capture_output=True, env=environment, timeout=30)
    assert result.returncode == 0, (result.stdout + result.stderr).decode()


def submit_with_swaks(server: Server, kind: str, mechanism: str, message: Path) -> None:
    # It ends the message with an empty line of its own, so the last line of the file goes without its end.
    message.write_bytes(MESSAGE.removesuffix(b"\r\n"))
    run(
        *("swaks", "--server", "127.0.0.1", "--port", str(server.ports[kind])),
        *("--tls" if kind == "starttls" else "--tls-on-connect", "--tls-verify"),
        *("--tls-ca-path", str(server.certificate_authority)),
        *("--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD),
        *("--from", SENDER, "--to", RECIPIENT, "--helo", "client.example", "--data", f"@{message}"),
    )


def submit_with_swaks_pipelining(server: Server, kind: str, mechanism: str, message: Path) -> None:
    message.write_bytes(MESSAGE.removesuffix(b"\r\n"))
    run(
        *("swaks", "--pipeline", "--server", "127.0.0.1", "--port", str(server.ports[kind])),
        *("--tls" if kind == "starttls" else "--tls-on-connect", "--tls-verify"),
        *("--tls-ca-path", str(server.certificate_authority)),
        *("--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD),
        *("--from", SENDER, "--to", RECIPIENT, "--helo", "client.example", "--data", f"@{message}"),
    )


def submit_as_thunderbird(server: Server, kind: str, mechanism: str, message: Path) -> None:
    """Thunderbird's words: its EHLO by address literal, BODY and SIZE on MAIL, DATA on its own."""
    with Client(server, kind) as client:
        client.say("EHLO [127.0.0.1]")
        if kind == "starttls":
            client.start_tls()
            client.say("EHLO [127.0.0.1]")
        if mechanism == "PLAIN":
            assert client.say("AUTH PLAIN " + to_base64(f"\0{USER}\0{PASSWORD}")).startswith(b"235 ")
        elif mechanism == "LOGIN":
            assert client.say("AUTH LOGIN") == b"334 VXNlcm5hbWU6\r\n"
            assert client.say(to_base64(USER)) == b"334 UGFzc3dvcmQ6\r\n"
            assert client.say(to_base64(PASSWORD)).startswith(b"235 ")
        else:
            assert client.log_in(USER, PASSWORD).startswith(b"235 ")
        octets = message.read_bytes()
        assert client.say(f"MAIL FROM:<{SENDER}> BODY=8BITMIME SIZE={len(octets)}").startswith(b"250 ")
        assert client.say(f"RCPT TO:<{RECIPIENT}>").startswith(b"250 ")
        assert client.say("DATA").startswith(b"354 ")
        assert client.send_message(octets.replace(b"\r\n.", b"\r\n..")).startswith(b"250 ")


def submit_in_chunks(server: Server, kind: str, mechanism: str, message: Path) -> None:
    """As a client does that knows BDAT, all in one packet."""
    octets = message.read_bytes()
    envelope = f"MAIL FROM:<{SENDER}> BODY=8BITMIME\r\nRCPT TO:<{RECIPIENT}>\r\n".encode()
    with Client(server, kind) as client:
        client.say("EHLO client.example")
        if kind == "starttls":
            client.start_tls()
        client.say("EHLO client.example")
        if mechanism == "PLAIN":
            client.say("AUTH PLAIN " + to_base64(f"\0{USER}\0{PASSWORD}"))
        elif mechanism == "LOGIN":
            client.say_each("AUTH LOGIN " + to_base64(USER), to_base64(PASSWORD))
        else:
            client.log_in(USER, PASSWORD)
        client.send(envelope + b"BDAT 100\r\n%bBDAT %d LAST\r\n%b" % (octets[:100], len(octets) - 100, octets[100:]))
        assert [client.reply()[:4] for _ in range(4)] == [b"250 "] * 4


def to_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def submit_with_msmtp(server: Server, kind: str, mechanism: str, message: Path) -> None:
    run(
        *("msmtp", "--host=127.0.0.1", f"--port={server.ports[kind]}"),
        *("--tls=on", f"--tls-starttls={'on' if kind == 'starttls' else 'off'}"),
        f"--tls-trust-file={server.certificate_authority}",
        *(f"--auth={mechanism.lower()}", f"--user={USER}", f"--passwordeval=echo {PASSWORD}"),
        *("--set-date-header=off", "--set-msgid-header=off", f"--from={SENDER}", "--", RECIPIENT),
        message=message,
    )


def submit_with_curl(server: Server, kind: str, mechanism: str, message: Path) -> None:
    scheme = "smtp" if kind == "starttls" else "smtps"
    run(
        *("curl", "--no-progress-meter", f"{scheme}://127.0.0.1:{server.ports[kind]}/client.example", "--ssl-reqd"),
        *("--cacert", str(server.certificate_authority)),
        *("--login-options", f"AUTH={mechanism}", "--user", f"{USER}:{PASSWORD}"),
        *("--mail-from", SENDER, "--mail-rcpt", RECIPIENT, "--upload-file", str(message)),
    )


def submit_with_smtplib(server: Server, kind: str, mechanism: str, message: Path) -> None:
    context = server.client_context()
    if kind == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", server.ports[kind], "client.example", context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", server.ports[kind], "client.example")
    with client:
        if kind == "starttls":
            client.starttls(context=context)
        client.ehlo()
        client.user, client.password = USER, PASSWORD
        client.auth(mechanism, getattr(client, f"auth_{mechanism.lower().replace('-', '_')}"))
        assert client.sendmail(SENDER, [RECIPIENT], message.read_bytes(), ["BODY=8BITMIME"]) == {}


Submit = Callable[[Server, str, str, Path], None]

KNOWN: dict[Submit, list[str]] = {
    submit_with_swaks: ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"],
    submit_with_swaks_pipelining: ["PLAIN", "LOGIN", "CRAM-MD5"],
    submit_with_msmtp: ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"],
    submit_with_curl: ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"],
    submit_with_smtplib: ["PLAIN", "LOGIN", "CRAM-MD5"],
    submit_as_thunderbird: ["PLAIN", "LOGIN", "CRAM-MD5"],
    submit_in_chunks: ["PLAIN", "LOGIN", "CRAM-MD5"],
}


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("submit", "mechanism"), [(submit, mechanism) for submit, names in KNOWN.items() for mechanism in names]
)
def test_a_message_arrives_as_it_was_sent(
    submit: Submit, mechanism: str, kind: str, server: Server, sendmail: Sendmail, events: Events, message: Path
) -> None:
    submit(server, kind, mechanism, message)
    [delivery] = sendmail.deliveries()
    assert (delivery.sender, delivery.recipient) == (SENDER, RECIPIENT)
    assert delivery.content == MESSAGE.replace(b"\r\n", b"\n")
    assert delivery.trace.count(b"\nReceived: ") == 2
    assert f"Received: by {HOSTNAME} with ESMTPSA (TLSv1.3 ".encode() in delivery.trace
    login = events.wait("auth")
    assert (login["result"], login["user"], login["mech"]) == ("ok", f"{USER}@example.com", mechanism)
    assert events.wait("message")["result"] == "ok"
