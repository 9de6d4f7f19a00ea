"""`submission user`: the accounts, a file a group of commands. submission-passwd sets their passwords.

On a terminal people are answered with a table, elsewhere programs are with lines whose columns a tab separates.
"""

from __future__ import annotations

import click

from submission.cli.user.accounts import delete_user, disable, enable, list_users, show, verify
from submission.cli.user.app_passwords import app_password
from submission.cli.user.exporting import export
from submission.cli.user.importing import import_accounts
from submission.cli.user.rekeying import rekey


@click.group()
def user() -> None:
    """List, disable, delete, import and export accounts.

    submission-passwd makes them and sets their passwords. USER may be user@realm; without a realm it is in [auth]
    realm. A running server knows of a change at once. A command exits with 1 where there is no such user, with 69 where
    the store can't be used.
    """


for command in (list_users, show, enable, disable, delete_user, verify, import_accounts, export, rekey, app_password):
    user.add_command(command)
