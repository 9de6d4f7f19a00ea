"""A log of POP logins as Dovecot writes it, and the clients of a service that follows it.

A login from a loopback address is no grant, so clients come by a balancer, which says who they are.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from tests.support.client import Client
from tests.support.server import Server

JOE, EVE = "198.51.100.23", "2001:db8::50"
"""Addresses."""


def login_line(user: str, address: str, ago: timedelta = timedelta()) -> str:
    """The line of a login now, or so long ago, with its end."""
    moment = datetime.now().astimezone() - ago
    return (
        f"{moment:%b %e %H:%M:%S} mail dovecot: pop3-login: Login: user=<{user}>, method=PLAIN,"
        f" rip={address}, lip=192.0.2.1, mpid=4711, TLS, session=<6WKfm3cJfJ5/AAAB>\n"
    )


class MailLog:
    """A file that logins are appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def log_in(self, user: str, address: str) -> None:
        """Have somebody log in now."""
        with self.path.open("a") as file:
            file.write(login_line(user, address))


def reply_to_mail(server: Server, address: str, kind: str = "balanced-starttls") -> bytes:
    """What a client from there hears that sends MAIL without AUTH."""
    return reply_to(server, address, kind, "MAIL FROM:<joe@example.com>")


def reply_to(server: Server, address: str, kind: str, *commands: str) -> bytes:
    """What the last of some commands is answered."""
    with Client(server, kind, proxied_for=address) as client:
        client.say("EHLO client.example")
        return client.say_each(*commands)[-1]


def pop(server: Server, *arguments: str) -> str:
    """What `submission pop` prints."""
    command = [sys.executable, "-m", "submission", "pop", *arguments, "-c", str(server.configuration)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
