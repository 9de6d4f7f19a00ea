"""Logins to a real Dovecot, and what its log says of them.

Its clients are all on this host; XCLIENT and IMAP's ID, which it believes on loopback, give them other addresses. All
names may log in, and hold any character: those of strangers with an account of their own making.
"""

from __future__ import annotations

import base64
import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from tests.support import programs
from tests.support.network import PATIENCE, free_ports, wait_until_accepting
from tests.support.poplog import shown
from tests.support.server import public_folder

CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = pop3 imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
login_trusted_networks = 127.0.0.0/8
mail_location = maildir:{folder}/mail
auth_username_chars =
auth_username_format = %u
auth_verbose = yes
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
}}
"""
FORGED = "x>, method=PLAIN, rip=203.0.113.66, lip=192.0.2.1, mpid=1, session=<a"
PLAIN_NAMES = ("joe", "joe@example.com", "joe smith", FORGED)
"""Logged as they are; Dovecot masks control characters and cuts at 80 octets."""
NAMES = (
    *PLAIN_NAMES,
    "x>\nNov 21 02:20:00 pop3-login: Info: Login: user=<joe>, method=PLAIN, rip=203.0.113.66, lip=192.0.2.1\n",
    "Login: user=<joe>, method=PLAIN, rip=203.0.113.66, lip=192.0.2.1",
    "y" * 200 + FORGED,
)
ADDRESSES = ("198.51.100.23", "2001:db8::50")


@contextmanager
def dovecot(folder: Path) -> Iterator[dict[str, int]]:
    """One that runs for as long as the context lasts: its ports by protocol. Its log is whole after that."""
    programs.require("dovecot")
    programs.require_file(Path("/usr/lib/dovecot/pop3-login"), "dovecot-pop3d")
    programs.require_file(Path("/usr/lib/dovecot/imap-login"), "dovecot-imapd")
    (folder / "mail").mkdir()
    (folder / "mail").chmod(0o777)
    ports = dict(zip(("pop3", "imap"), free_ports(2), strict=True))
    file = folder / "dovecot.conf"
    file.write_text(CONFIGURATION.format(folder=folder, **ports))
    with subprocess.Popen(["dovecot", "-F", "-c", str(file)]) as process:
        try:
            for port in ports.values():
                wait_until_accepting(port, lambda: process.poll() is None)
            yield ports
        finally:
            process.terminate()


def log_in(port: int, protocol: str, name: str, password: str, address: str) -> bool:
    """Whether the name is let in, for a client at this address."""
    response = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
    if protocol == "pop3":
        commands = [f"XCLIENT ADDR={address}", f"AUTH PLAIN {response}", "QUIT"]
        ends = ("+OK", "-ERR")
    else:
        commands = [f'a ID ("x-originating-ip" "{address}")', f"a AUTHENTICATE PLAIN {response}", "a LOGOUT"]
        ends = ("a OK", "a NO", "a BAD")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock, sock.makefile("r", newline="\r\n") as replies:
        replies.readline()
        answers = []
        for command in commands:
            sock.sendall(f"{command}\r\n".encode())
            answers.append(next(line for line in replies if line.startswith(ends)))
    return answers[1].startswith(ends[0])


def logins(folder: Path) -> list[str]:
    reader = Reader(FORMATS.values())
    told = (shown(reader.feed(line, time.time())) for line in (folder / "log").read_bytes().split(b"\n"))
    return [verdict for verdict in told if verdict != "-"]


def test_logins() -> None:
    wanted = []
    with public_folder() as folder:
        with dovecot(folder) as ports:
            for address, (protocol, port), name in itertools.product(ADDRESSES, ports.items(), NAMES):
                if log_in(port, protocol, name, "secret", address):
                    wanted.append((name, address, protocol))
        told = logins(folder)
    assert len(wanted) >= 4 * len(PLAIN_NAMES)
    assert len(told) == len(wanted)
    for verdict, (name, address, protocol) in zip(told, wanted, strict=True):
        assert verdict.endswith(f" {address} {protocol}")
        assert verdict == f"{name} {address} {protocol}" or name not in PLAIN_NAMES


def test_failures() -> None:
    with public_folder() as folder:
        with dovecot(folder) as ports:
            for (protocol, port), name in itertools.product(ports.items(), NAMES[-3:]):
                assert not log_in(port, protocol, name, "wrong", ADDRESSES[0])
        assert b"auth failed" in (folder / "log").read_bytes()
        assert logins(folder) == []
