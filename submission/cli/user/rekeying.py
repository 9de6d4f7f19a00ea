"""`submission user rekey`: a new key for the recoverable passwords."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from submission.cli.options import configuration
from submission.cli.user.opened import opened
from submission.credentials.accounts import AccountError
from submission.credentials.rekeying import rekey as rekey_store


@click.command()
@configuration
def rekey(file: Path) -> None:
    """Seal all recoverable passwords by a new key.

    The old keys are thrown away. A running server goes on. May be interrupted and run again. Backups of the store from
    before need the key file from before: keep them apart from each other, or make new ones.
    """
    console = Console(stderr=True)
    with opened(file) as accounts, Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        if accounts.store.keeps_clear:
            raise AccountError("this store keeps passwords in the clear: there is nothing sealed in it")
        task = shown.add_task("Passwords", total=None)
        done = rekey_store(
            accounts.store,
            accounts.settings.store.key_file,
            lambda number, total: shown.update(task, completed=number, total=total),
        )
    click.echo(f"{done} passwords are sealed by a new key", err=True)
