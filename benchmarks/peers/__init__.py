"""What is measured: each program with a configuration that makes it the same kind of server.

It listens on 127.0.0.1, does TLS with the one certificate, takes one account's password with AUTH PLAIN, and hands
what it accepts to the relay on 127.0.0.1. None of them resolves names, filters or signs; each logs as it usually does.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Site:
    """What a peer is given."""

    folder: Path
    """Of its own, empty; anybody may enter it."""
    certificate: Path
    key: Path
    relay: int
    """The port that takes its messages."""
    workers: int
    """How many processes may work; a peer that can't be told ignores it."""


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that accepts connections."""

    port: int
    pid: int


class Peer(Protocol):
    """One program, in one configuration."""

    name: str
    """For the command line."""
    title: str
    """For the table."""
    most_connections: int
    """How many it takes at once as it is configured here."""

    def missing(self) -> str | None:
        """Why it can't be measured here, or None."""

    def version(self) -> str:
        """What is installed."""

    def running(self, site: Site) -> AbstractContextManager[Running]:
        """One that runs for as long as the context lasts. Raises ProgramError."""


def absent(*programs: str, package: str) -> str | None:
    """Why a peer made of these programs, which only root can start, can't be measured here, or None."""
    if any(shutil.which(program) is None and not Path(program).exists() for program in programs):
        return f"not installed (Debian: {package})"
    return None if os.geteuid() == 0 else "starts as root only"
