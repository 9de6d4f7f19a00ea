"""`submission user list`, `show`, `enable`, `disable`, `delete` and `verify`: one account, or all, as they are."""

from __future__ import annotations

from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.passwords import ask_password, is_terminal, read_password
from submission.cli.tables import print_table
from submission.cli.user.opened import opened, user_argument
from submission.core.sasl import Need
from submission.core.sasl.registry import MECHANISMS
from submission.core.sasl.scram import PLUS
from submission.credentials.accounts import AccountError, delete, is_password, set_disabled
from submission.credentials.store import Record


@click.command("list")
@configuration
def list_users(file: Path) -> None:
    """List all users.

    Columns: name; state; the mechanisms that what is kept of the user serves.
    """
    with opened(file) as accounts:
        print_table(("User", "State", "Mechanisms"), (_summary(record) for record in accounts.store.records()))


@click.command()
@configuration
@user_argument
def show(file: Path, name: str) -> None:
    """Show what is kept of USER, but for the secrets themselves."""
    with opened(file) as accounts:
        record = accounts.record(name)
    _, state, mechanisms = _summary(record)
    rows = [
        ("user", record.login.user),
        ("realm", record.login.realm),
        ("state", state),
        ("mechanisms", mechanisms),
        ("password hash", "kept" if record.password else "none"),
        ("keys for SCRAM", "kept" if record.scram_sha_256 and record.scram_sha_1 else "none"),
        ("recoverable password", "in the clear" if record.clear else "kept, sealed" if record.secret else "none"),
    ]
    print_table(("Property", "Value"), rows)


@click.command()
@configuration
@user_argument
def enable(file: Path, name: str) -> None:
    """Let USER log in again, with the password as it was."""
    with opened(file) as accounts:
        set_disabled(accounts.store, accounts.login(name), is_disabled=False)


@click.command()
@configuration
@user_argument
def disable(file: Path, name: str) -> None:
    """Refuse USER's logins from now on; the password is kept."""
    with opened(file) as accounts:
        set_disabled(accounts.store, accounts.login(name), is_disabled=True)


@click.command("delete")
@configuration
@user_argument
def delete_user(file: Path, name: str) -> None:
    """Remove USER and all that is kept of the account."""
    with opened(file) as accounts:
        delete(accounts.store, accounts.login(name))


@click.command()
@configuration
@user_argument
def verify(file: Path, name: str) -> None:
    """Try whether USER would be let in with a password.

    Asks for it on a terminal, and reads it from standard input where that is none. Exits with 0 if so, else with 1.
    """
    with opened(file) as accounts:
        login = accounts.record(name).login  # before asking for a password in vain
        password = ask_password("Password") if is_terminal() else read_password()
        if not is_password(accounts.store, login, password):
            raise AccountError(f"{login}: would be refused, the password is another or the user is disabled")


def _summary(record: Record) -> tuple[str, str, str]:
    needs = {name: kind.NEED for name, kind in MECHANISMS.items() if kind.NEED is not Need.NOTHING}
    usable = [name for name, need in needs.items() if record.serves(need) and not name.endswith(PLUS)]
    return str(record.login), "disabled" if record.is_disabled else "enabled", " ".join(usable)
