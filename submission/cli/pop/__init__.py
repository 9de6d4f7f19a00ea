"""`submission pop`: the POP-before-SMTP table, and the logs that it is fed from. A file a group of commands."""

from __future__ import annotations

import click

from submission.cli.pop.detect import detect
from submission.cli.pop.importing import import_table
from submission.cli.pop.report import report
from submission.cli.pop.table import add, list_grants, remove
from submission.cli.pop.test import test


@click.group()
def pop() -> None:
    """See who may send for having read mail, and help them on to AUTH.

    A running server knows of a change at once. A command exits with 1 where there is no such grant, with 65 where what
    it reads can't be understood, with 69 where the table can't be used.
    """


for command in (list_grants, add, remove, import_table, report, test, detect):
    pop.add_command(command)
