"""`submission reload`: the running service is to read its configuration anew, and says what came of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.tables import printable
from submission.config import load
from submission.service import verdict
from submission.service.verdict import Verdict

PATIENCE = 120.0
"""Seconds to wait for an answer, which waits for a relay that doesn't greet, too."""
LOOK = 0.05
"""Seconds between looks for it."""


@click.command()
@configuration
def reload(file: Path) -> None:
    """Have the running service read its configuration anew.

    Certificates, too. A configuration that can't be used is refused, and the service goes on with the one it has. Open
    connections go on under the one that they began with. Exits with 0, with 78 if it was refused, with 69 if no service
    runs or what it needs can't be had, such as the address of a new listener.
    """
    folder = load(file).state_dir
    try:
        reason = ask_for_reload(folder)
    except PermissionError as error:
        reason = Verdict(0, 0, 0, os.EX_NOPERM, f"{folder}: {error.strerror}: only root and the service's user may")
    if reason.code:
        click.echo("\n".join(map(printable, reason.text.splitlines())), err=True)
        sys.exit(reason.code)
    click.echo("ok")


def ask_for_reload(folder: Path) -> Verdict:
    """What the service says of the reload, or why it says nothing. Raises PermissionError."""
    before = verdict.read(folder)
    if before is None:
        return Verdict(0, 0, 0, os.EX_UNAVAILABLE, f"no service runs that has {folder} as its state_dir")
    now = time.monotonic_ns()
    os.kill(before.pid, signal.SIGHUP)
    while time.monotonic_ns() < now + PATIENCE * 1e9:
        time.sleep(LOOK)
        after = verdict.read(folder)
        if after is None:
            return Verdict(0, 0, 0, os.EX_UNAVAILABLE, "the service has ended")
        if after.begun > now:
            return after
    return Verdict(0, 0, 0, os.EX_UNAVAILABLE, f"no answer from the service (process {before.pid}): see its log")
