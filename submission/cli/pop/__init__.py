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
    """POP before SMTP: who may send for having just read mail.

    A grant lets an address send as the user who has read mail from there. Grants follow from the logs of POP and IMAP
    servers.
    """


for command in (list_grants, add, remove, import_table, report, test, detect):
    pop.add_command(command)
