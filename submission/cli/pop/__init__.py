"""`submission pop`: the POP-before-SMTP table, and the logs that it is fed from. A file a group of commands."""

from __future__ import annotations

import click

from submission.cli.pop.detect import detect
from submission.cli.pop.test import test


@click.group()
def pop() -> None:
    """See what a log of POP and IMAP logins holds. The service makes no use of it in this version."""


for command in (test, detect):
    pop.add_command(command)
