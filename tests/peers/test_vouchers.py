"""Clients that somebody else vouches for, on both event loops: by a token from an issuer, by a certificate."""

from __future__ import annotations

import base64
import os
import shutil
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.conftest import PASSWORD, USER
from tests.support import programs
from tests.support.client_authority import ClientAuthority
from tests.support.events import Events
from tests.support.issuer import AUDIENCE, Handler, Issuer
from tests.support.network import wait_until
from tests.support.server import USER as SERVICE_USER
from tests.support.server import Server, Settings, public_folder
from tests.support.sink import Sink

LOGIN = f"{USER}@example.com"
SUBJECT = "CN=Carol,O=Example"
SENDER, RECIPIENT = "carol@example.com", "alice@test.example"
MESSAGE = b"From: <carol@example.com>\r\nSubject: By token or certificate\r\n\r\nHello\r\n"
BEARERS = ("OAUTHBEARER", "XOAUTH2")
KINDS = ("starttls", "implicit")


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def issuer_of_module() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(issuer_of_module: Issuer) -> Iterator[Issuer]:
    yield issuer_of_module
    issuer_of_module.misbehave = None


@pytest.fixture(scope="module")
def clients() -> ClientAuthority:
    return ClientAuthority()


@pytest.fixture(scope="module")
def settings(issuer_of_module: Issuer) -> Settings:
    issuer = issuer_of_module
    return {
        "tls": {"client_ca": "clients.pem"},
        "auth": {
            "mechanisms": ["PLAIN", "EXTERNAL", *BEARERS],
            "certificate_login": True,
            "certificate": [
                {"user": USER, "subject": SUBJECT},
                {"user": "disabled", "email": "disabled@example.com"},
                {"user": "stranger", "email": "stranger@example.com"},
            ],
            "oauth": {"issuer": issuer.url, "audience": [AUDIENCE], "jwks": issuer.jwks, "scope": "mail"},
        },
    }


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(
    request: pytest.FixtureRequest, relay: Sink, settings: Settings, clients: ClientAuthority
) -> Iterator[Server]:
    """The service on each event loop; it falls back on asyncio's where uvloop can't be loaded."""
    with public_folder() as folder, pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            (folder / "without").mkdir()
            (folder / "without" / "uvloop.py").write_text("raise ImportError")
            patch.setenv("PYTHONPATH", str(folder / "without"))
        (folder / "clients.pem").write_bytes(clients.pem)
        server = Server(folder, relay.address, settings)
        for user in (USER, "disabled"):
            server.add_user(user, PASSWORD)
        run(sys.executable, "-m", "submission", "user", "disable", "disabled", "-c", str(server.configuration))
        if os.geteuid() == 0:
            shutil.chown(folder / "state" / "users.db", SERVICE_USER)
        with server:
            yield server


def run(*command: str, text: bytes = b"", must_fail: bool = False) -> str:
    """Run a program with nothing of the user's own configuration; what it says."""
    programs.require(command[0])
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    result = subprocess.run(command, input=text, capture_output=True, env=environment, timeout=30)
    said = (result.stdout + result.stderr).decode()
    assert (result.returncode != 0) is must_fail, said
    return said


# Programs


def submit_with_msmtp(server: Server, kind: str, options: list[str]) -> None:
    run(
        *("msmtp", "--host=127.0.0.1", f"--port={server.ports[kind]}", "--tls=on"),
        *(
            f"--tls-starttls={'on' if kind == 'starttls' else 'off'}",
            f"--tls-trust-file={server.certificate_authority}",
        ),
        *(*options, f"--from={SENDER}", "--", RECIPIENT),
        text=MESSAGE,
    )


def submit_with_curl(server: Server, kind: str, options: list[str]) -> None:
    scheme = "smtp" if kind == "starttls" else "smtps"
    run(
        *("curl", "--no-progress-meter", f"{scheme}://127.0.0.1:{server.ports[kind]}/client.example", "--ssl-reqd"),
        *("--cacert", str(server.certificate_authority), *options),
        *("--mail-from", SENDER, "--mail-rcpt", RECIPIENT, "--upload-file", "-"),
        text=MESSAGE,
    )


def connect(server: Server, kind: str, certificate: Path | None = None) -> smtplib.SMTP:
    """Python's own client, after EHLO under TLS."""
    context = server.client_context()
    if certificate is not None:
        context.load_cert_chain(certificate)
    if kind == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", server.ports[kind], "client.example", context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", server.ports[kind], "client.example")
        client.starttls(context=context)
    client.ehlo()
    return client


def message(kind: str, token: str, name: str = USER) -> str:
    """The client's message in base64."""
    text = f"n,a={name},\x01auth=Bearer {token}\x01\x01" if kind == "OAUTHBEARER" else ""
    return base64.b64encode((text or f"user={name}\x01auth=Bearer {token}\x01\x01").encode()).decode()


def authenticate(client: smtplib.SMTP, mechanism: str, token: str, name: str = USER) -> int:
    """The code of the reply to AUTH, behind that to the refusal's challenge if there is one."""
    code, _ = client.docmd("AUTH", f"{mechanism} {message(mechanism, token, name)}")
    return client.docmd("AQ==")[0] if code == 334 else code


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mechanism", BEARERS)
def test_programs_submit_by_token(server: Server, issuer: Issuer, events: Events, kind: str, mechanism: str) -> None:
    token = issuer.token(sub=USER)
    submit_with_msmtp(server, kind, [f"--auth={mechanism.lower()}", f"--user={USER}", f"--passwordeval=echo {token}"])
    submit_with_curl(server, kind, ["--user", USER, "--oauth2-bearer", token])  # it takes OAUTHBEARER if it can
    logins = [(login["result"], login["user"], login["mech"]) for login in events.all("auth")]
    assert logins == [("ok", LOGIN, mechanism), ("ok", LOGIN, "OAUTHBEARER")]
    assert events.wait("message")["via"] == "auth"


@pytest.mark.parametrize("kind", KINDS)
def test_programs_submit_by_certificate(
    server: Server, clients: ClientAuthority, events: Events, kind: str, tmp_path: Path
) -> None:
    file = str(clients.issue(tmp_path / "carol.pem", SUBJECT))
    submit_with_msmtp(
        server, kind, ["--auth=external", f"--user={USER}", f"--tls-cert-file={file}", f"--tls-key-file={file}"]
    )
    submit_with_curl(server, kind, ["--login-options", "AUTH=EXTERNAL", "--user", f"{USER}:", "--cert", file])
    submit_with_curl(server, kind, ["--cert", file])  # without AUTH
    submit_with_msmtp(server, kind, ["--auth=off", f"--tls-cert-file={file}", f"--tls-key-file={file}"])
    logins = events.all("auth")
    assert [(login["result"], login["user"], login["mech"]) for login in logins] == [("ok", LOGIN, "EXTERNAL")] * 4
    assert [event["user"] for event in events.all("message")] == [LOGIN] * 4
    assert events.wait("client-certificate")["subject"] == SUBJECT


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_shows_a_certificate_that_is_not_good(
    server: Server, clients: ClientAuthority, events: Events, kind: str, tmp_path: Path
) -> None:
    """Where TLS 1.3 is spoken the client hears of it behind its own end of the handshake."""
    file = str(ClientAuthority().issue(tmp_path / "carol.pem", SUBJECT))
    starttls = ["-starttls", "smtp"] if kind == "starttls" else []
    address = ["-connect", f"127.0.0.1:{server.ports[kind]}", "-CAfile", str(server.certificate_authority)]
    for version in ("-tls1_2", "-tls1_3"):
        command = ["openssl", "s_client", *address, *starttls, "-quiet", version, "-cert", file, "-key", file]
        assert "250 2.0.0 OK" not in run(*command, text=b"NOOP\r\n", must_fail=True)
    wait_until(lambda: sum("CERTIFICATE_VERIFY_FAILED" in event["reason"] for event in events.all("connection")) == 2)


# What is offered, and to whom


@pytest.mark.parametrize("kind", KINDS)
def test_external_is_offered_to_who_can_use_it(
    server: Server, clients: ClientAuthority, kind: str, tmp_path: Path
) -> None:
    for file, offered in (
        (None, "PLAIN OAUTHBEARER XOAUTH2"),
        (clients.issue(tmp_path / "unlisted.pem", "CN=Eve"), "PLAIN OAUTHBEARER XOAUTH2"),
        (clients.issue(tmp_path / "carol.pem", SUBJECT), "PLAIN EXTERNAL OAUTHBEARER XOAUTH2"),
    ):
        with connect(server, kind, file) as client:
            assert client.esmtp_features["auth"].split() == offered.split()
            if "EXTERNAL" not in offered:
                assert client.docmd("AUTH", "EXTERNAL =")[0] == 504
                assert client.docmd("MAIL", f"FROM:<{SENDER}>")[0] == 530
            assert (
                client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode())[0] == 235
            )


def test_before_tls_nothing_of_it_is_offered(server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", server.ports["starttls"], "client.example") as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        for mechanism in ("EXTERNAL", *BEARERS):
            assert client.docmd("AUTH", mechanism) == (
                538,
                b"5.7.11 Encryption required for the requested authentication mechanism",
            )


# Certificates


@pytest.mark.parametrize("name", ["", USER, LOGIN])
def test_a_certificate_is_good_for_its_user(
    server: Server, clients: ClientAuthority, tmp_path: Path, name: str
) -> None:
    with connect(server, "implicit", clients.issue(tmp_path / "carol.pem", SUBJECT)) as client:
        assert client.docmd("AUTH", "EXTERNAL " + (base64.b64encode(name.encode()).decode() or "="))[0] == 235


@pytest.mark.parametrize("name", ["disabled", "stranger", "carol@example.org", "Carol"])
def test_and_for_nobody_else(server: Server, clients: ClientAuthority, tmp_path: Path, name: str) -> None:
    with connect(server, "implicit", clients.issue(tmp_path / "carol.pem", SUBJECT)) as client:
        assert client.docmd("AUTH", "EXTERNAL " + base64.b64encode(name.encode()).decode())[0] == 535
        # It has sent AUTH, so it isn't one of those that know of none.
        assert client.docmd("MAIL", f"FROM:<{SENDER}>") == (530, b"5.7.0 Authentication required")


@pytest.mark.parametrize("user", ["disabled", "stranger"])
def test_a_certificate_of_nobody_who_may_log_in(
    server: Server, clients: ClientAuthority, events: Events, tmp_path: Path, user: str
) -> None:
    file = clients.issue(tmp_path / "client.pem", "CN=Client", [f"{user}@example.com"])
    with connect(server, "implicit", file) as client:
        assert "EXTERNAL" in client.esmtp_features["auth"]
        assert client.docmd("AUTH", "EXTERNAL =")[0] == 535
    with connect(server, "implicit", file) as client:
        replies = [client.docmd("MAIL", f"FROM:<{SENDER}>")[0] for _ in range(5)]
        assert replies == [530, 530, 530, 530, 421]
    assert {login["reason"] for login in events.all("auth")} == {"bad-credentials"}
    assert len(events.all("auth")) == 6


def test_a_certificate_logs_in_where_no_auth_is_sent(
    server: Server, clients: ClientAuthority, sink: Sink, events: Events, tmp_path: Path
) -> None:
    with connect(server, "starttls", clients.issue(tmp_path / "carol.pem", SUBJECT)) as client:
        assert client.sendmail(SENDER, [RECIPIENT], MESSAGE) == {}
        assert client.docmd("AUTH", "EXTERNAL =") == (503, b"5.5.1 Already authenticated")
        assert client.sendmail(SENDER, [RECIPIENT], MESSAGE) == {}
    [login] = events.all("auth")
    assert (login["result"], login["user"], login["mech"]) == ("ok", LOGIN, "EXTERNAL")
    assert events.wait("message")["via"] == "auth"
    wait_until(lambda: any(event.get("user") == LOGIN for event in events.all("connection")))


# Tokens


@pytest.mark.parametrize("mechanism", BEARERS)
def test_a_token_that_is_refused_is_told_why(server: Server, issuer: Issuer, events: Events, mechanism: str) -> None:
    told = {
        "OAUTHBEARER": b'{"status":"invalid_token","scope":"mail"}',
        "XOAUTH2": b'{"status":"401","schemes":"Bearer","scope":"mail"}',
    }
    for token in (issuer.token(sub=USER, exp=7), issuer.token(sub=USER, scope="openid"), "nonsense"):
        with connect(server, "implicit") as client:
            code, text = client.docmd("AUTH", f"{mechanism} {message(mechanism, token)}")
            assert (code, base64.b64decode(text)) == (334, told[mechanism])
            assert client.docmd("AQ==") == (535, b"5.7.8 Authentication credentials invalid")
            assert client.docmd("MAIL", f"FROM:<{SENDER}>")[0] == 530
            assert authenticate(client, mechanism, issuer.token(sub=USER)) == 235
    reasons = [event["reason"] for event in events.all("token-refused")]
    assert reasons == ["token-expired", "token-without-scope", "malformed-token"]


@pytest.mark.parametrize(
    ("subject", "name", "code"),
    [
        (USER, "", 235),
        (USER, LOGIN, 235),
        (LOGIN, USER, 235),
        (USER, "stranger", 535),
        ("stranger", "", 535),
        ("stranger", USER, 535),
        ("disabled", "disabled", 535),
        ("", "", 535),
        ("x" * 1000, "", 535),
        ("a\nb", "", 535),
    ],
)
def test_a_token_is_good_for_its_user(server: Server, issuer: Issuer, subject: str, name: str, code: int) -> None:
    with connect(server, "implicit") as client:
        assert authenticate(client, "XOAUTH2", issuer.token(sub=subject), name) == code


def test_a_token_as_long_as_a_line_may_be(server: Server, issuer: Issuer) -> None:
    """Regression of others: tokens of large providers, with the list of a user's groups, are cut off or refused."""
    token = issuer.token(sub=USER, groups="x" * 6500)
    assert len(token) > 8500
    with connect(server, "implicit") as client:
        assert authenticate(client, "OAUTHBEARER", token) == 235


def test_an_issuer_out_of_order_is_no_wrong_token(server: Server, issuer: Issuer, events: Events) -> None:
    """Tokens of a key that is known stay good; of another nobody can say anything."""
    good = issuer.token(sub=USER)

    def fail(handler: Handler) -> None:
        handler.answer(500)

    with connect(server, "implicit") as client:
        assert authenticate(client, "XOAUTH2", good) == 235
    issuer.misbehave = fail
    with connect(server, "implicit") as client:
        assert authenticate(client, "XOAUTH2", good) == 235
    assert not events.all("issuer-unavailable")


def test_no_log_holds_a_token(server: Server, issuer: Issuer) -> None:
    for token in (issuer.token(sub=USER), issuer.token(sub=USER, exp=7)):
        with connect(server, "implicit") as client:
            authenticate(client, "XOAUTH2", token)
        log = "\n".join(server.log())
        assert not any(part in log for part in token.split("."))
        assert message("XOAUTH2", token)[:40] not in log
