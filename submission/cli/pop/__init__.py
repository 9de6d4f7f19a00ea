"""`submission pop`: the POP-before-SMTP table, and the logs that it is fed from. A file a group of commands."""

from __future__ import annotations

import click

from submission.cli.pop.detect import detect
from submission.cli.pop.test import test


@click.group()
def pop() -> None:
    """See who may send for having read mail, and help them on to AUTH."""


for command in (test, detect):
    pop.add_command(command)
