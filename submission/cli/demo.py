"""`submission demo`: the whole product on loopback, in a folder that is thrown away.

Certificates, a store with one user, the proxy as a process of its own (run by root it becomes an ordinary user, as it
always does), and behind it the host's mail system if one answers on port 25, else a catcher with a Maildir. Then a
message by each mechanism, sent as a mail client would. A real mail system gets them from whoever runs the demo, for
the same: nobody else hears of it, bounces included.
"""

from __future__ import annotations

import contextlib
import email.message
import email.policy
import email.utils
import os
import pwd
import secrets
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from cryptography import x509
from rich.console import Console
from rich.table import Table
from rich.text import Text

from submission.certificates import write_certificates
from submission.cli.catcher import Catcher
from submission.cli.scram import ScramClient
from submission.core.sasl.registry import USUAL
from submission.credentials import open_store
from submission.credentials.accounts import parse_login, set_password
from submission.credentials.sealing import Sealer
from submission.smtp.pem import end_point

USER = "demo"
REALM = "localhost"
PORTS = {"starttls": 1587, "implicit": 1465}
"""Where clients find it, unless somebody else is there already."""
TIMEOUT = 30.0

_CONFIGURATION = """\
hostname = "localhost"
state_dir = "state"
user = "nobody"
[tls]
certificate = "server.pem"
key = "server.key"
[auth]
realm = "{realm}"
[relay]
address = "127.0.0.1:{relay}"
[metrics]
address = ""
[[listen]]
address = "127.0.0.1:{starttls}"
tls = "starttls"
[[listen]]
address = "127.0.0.1:{implicit}"
tls = "implicit"
"""


class DemoError(Exception):
    """The demo can't go on."""


@dataclass(frozen=True, slots=True)
class _Installation:
    """A proxy that runs, and how to reach it."""

    folder: Path
    ports: dict[str, int]
    password: str
    mailbox: str  # the messages are from it, and for it
    catcher: Catcher | None  # None: the host's own mail system


@click.command()
@click.option("--once", is_flag=True, help="Exit after the messages; 0 only if all of them arrived.")
def demo(*, once: bool) -> None:
    """Try the proxy out on loopback, with a user of its own.

    Sends a message by each way to log in. Needs no configuration and touches none. Goes on serving until Ctrl-C, so
    that a mail client can be tried.
    """
    console = Console(soft_wrap=True, markup=False)  # what is printed is the mail system's text, among others
    signal.signal(signal.SIGTERM, _interrupt)  # so that whoever stops it leaves nothing behind
    try:
        with _installation(console) as installation:
            all_arrived = _try_each(installation, console)
            _print_settings(installation, console)
            if not once:
                with contextlib.suppress(KeyboardInterrupt):
                    console.print("Serving until Ctrl-C ...")
                    signal.pause()
    except DemoError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(0 if all_arrived else 1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _installation(console: Console) -> Iterator[_Installation]:
    """Set everything up, and take all of it away again."""
    with contextlib.ExitStack() as cleanup:
        folder = Path(tempfile.mkdtemp(prefix="submission-demo-"))
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        _prepare_folder(folder)
        catcher = None
        if not _speaks_smtp(25):
            catcher = Catcher(folder / "maildir")
            cleanup.callback(catcher.stop)
            catcher.start()
        mailbox = f"{USER if catcher else _name_of_caller()}@{REALM}"
        behind = "a catcher with a Maildir" if catcher else f"the mail system on port 25, messages go to {mailbox}"
        console.print(f"Behind the proxy: {behind}")
        ports = {kind: _free_port(port) for kind, port in PORTS.items()}
        configuration = folder / "submission.toml"
        relay = catcher.port if catcher else 25
        configuration.write_text(_CONFIGURATION.format(realm=REALM, relay=relay, **ports))
        password = secrets.token_urlsafe(9)
        _make_user(folder / "state", password)
        cleanup.enter_context(_running(configuration))
        yield _Installation(folder, ports, password, mailbox, catcher)


def _prepare_folder(folder: Path) -> None:
    """Make certificates and state_dir, so that the user whom root becomes gets at them."""
    write_certificates(folder, ("localhost", "127.0.0.1", "::1"))
    state = folder / "state"
    state.mkdir(mode=0o700)
    if os.geteuid() == 0:
        folder.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        os.chown(state, nobody.pw_uid, nobody.pw_gid)


def _name_of_caller() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry; every mail system has a postmaster
        return "postmaster"


def _speaks_smtp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4).startswith(b"220")
    except OSError:
        return False


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise DemoError("no free port on 127.0.0.1")


def _make_user(state: Path, password: str) -> None:
    store = open_store(f"sqlite:{state / 'users.db'}")
    try:
        sealer = Sealer.from_file(state / "store.key")
        set_password(store, sealer, parse_login(USER, REALM), password, may_create=True, keep_secret=True)
    finally:
        store.close()


@contextlib.contextmanager
def _running(configuration: Path) -> Iterator[None]:
    """The proxy as a process, from `ready` to its end."""
    # -P: what lies in the folder that the demo is called from is nobody's business, least of all root's.
    command = [sys.executable, "-P", "-m", "submission", "serve", "-c", str(configuration)]
    log = configuration.with_name("log")
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)  # noqa: S603
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise DemoError(f"the proxy didn't start:\n{log.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait()


def _try_each(installation: _Installation, console: Console) -> bool:
    """Send a message by each mechanism; whether all arrived."""
    table = Table("Mechanism", "Reply to the message", "Arrived")
    all_arrived = True
    with console.status("sending a message by each mechanism") as status:
        for mechanism in USUAL:
            status.update(f"sending a message with AUTH {mechanism} over STARTTLS")
            reply, arrived = _send(installation, mechanism)
            all_arrived &= arrived
            table.add_row(mechanism, reply, Text("yes") if arrived else Text("no", "bold red"))
    console.print(table)
    return all_arrived


def _send(installation: _Installation, mechanism: str) -> tuple[str, bool]:
    """One message, as a client sends it that trusts only our authority: the reply, and whether it arrived."""
    message = email.message.EmailMessage()
    message["From"] = message["To"] = installation.mailbox
    message["Subject"] = f"submission demo: {mechanism}"
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = email.utils.make_msgid(domain=REALM)
    message.set_content(f"Sent with AUTH {mechanism} through the submission proxy.\n")
    context = ssl.create_default_context(cafile=str(installation.folder / "ca.pem"))
    try:
        with smtplib.SMTP("localhost", installation.ports["starttls"], timeout=TIMEOUT) as client:
            client.starttls(context=context)
            client.ehlo()
            client.auth(mechanism, _answers(client, mechanism, installation.password))
            client.mail(installation.mailbox)
            client.rcpt(installation.mailbox)
            code, text = client.data(message.as_bytes(policy=email.policy.SMTP))
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return str(error), False
    return f"{code} {text.decode(errors='replace')}", code == 250 and _has_arrived(installation, message["Message-ID"])


def _answers(client: smtplib.SMTP, mechanism: str, password: str) -> Callable[..., str]:
    """What answers the server's challenges, smtplib's own where it knows the mechanism."""
    if mechanism.startswith("SCRAM-"):
        certificate = client.sock.getpeercert(binary_form=True) if isinstance(client.sock, ssl.SSLSocket) else None
        served = end_point(x509.load_der_x509_certificate(certificate)) if certificate else None
        return ScramClient(mechanism, USER, password, served)
    client.user, client.password = USER, password
    answers: Callable[..., str] = getattr(client, "auth_" + mechanism.lower().replace("-", "_"))
    return answers


def _has_arrived(installation: _Installation, message_id: str) -> bool:
    """Look into the Maildir; a real mail system's 250 means that it has the message."""
    if installation.catcher is None:
        return True
    return any(message["Message-ID"] == message_id for message in installation.catcher.maildir)


def _print_settings(installation: _Installation, console: Console) -> None:
    table = Table("For a mail client", "", title_justify="left")
    table.add_row("Server", "localhost")
    table.add_row("Port with STARTTLS", str(installation.ports["starttls"]))
    table.add_row("Port with TLS from the start", str(installation.ports["implicit"]))
    table.add_row("User", USER)
    table.add_row("Password", installation.password)
    table.add_row("Trust this authority", str(installation.folder / "ca.pem"))
    if installation.catcher is not None:
        table.add_row("What arrives", str(installation.folder / "maildir"))
    table.add_row("Log", str(installation.folder / "log"))
    console.print(table)
