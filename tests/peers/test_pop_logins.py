"""Logins to a real Dovecot, and what its log says of them.

Its clients are all on this host; XCLIENT and IMAP's ID, which it believes on loopback, give them other addresses.
"""

from __future__ import annotations

import base64
import itertools
import socket
import time
from pathlib import Path

from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from tests.support.dovecot import PASSWORD, dovecot
from tests.support.network import PATIENCE
from tests.support.poplog import shown
from tests.support.server import public_folder

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
                if log_in(port, protocol, name, PASSWORD, address):
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
