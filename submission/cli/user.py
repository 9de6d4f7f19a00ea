"""`submission user`: looks at accounts, lets them in or not, and removes them. submission-passwd sets their passwords.

On a terminal people are answered with a table, elsewhere programs are with lines whose columns a tab separates.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from submission.cli.options import configuration
from submission.cli.passwords import ask_password, is_terminal, read_password
from submission.config import load
from submission.core.sasl import Need
from submission.core.sasl.registry import MECHANISMS
from submission.credentials import open_store
from submission.credentials.accounts import (
    AccountError,
    NoSuchUserError,
    delete,
    is_password,
    parse_login,
    set_disabled,
)
from submission.credentials.store import Record, Store, StoreUnavailableError

_ARGUMENT = click.argument("name", metavar="USER")


class _Unavailable(click.ClickException):
    """Ends a command with EX_UNAVAILABLE."""

    exit_code = os.EX_UNAVAILABLE


@click.group()
def user() -> None:
    """Look at accounts, disable and delete them.

    USER may be user@realm; without a realm it is in [auth] realm. A running server knows of a change at once. A command
    exits with 1 where there is no such user, with 69 where the store can't be used.
    """


@user.command("list")
@configuration
def list_users(file: Path) -> None:
    """List all users: name, state, and the mechanisms that they can log in with."""
    with _opened(file) as (store, _):
        _print(("User", "State", "Mechanisms"), (_summary(record) for record in store.records()))


@user.command()
@configuration
@_ARGUMENT
def show(file: Path, name: str) -> None:
    """Show what is kept of USER, but for the secrets themselves."""
    with _opened(file) as (store, realm):
        record = _read_record(store, name, realm)
    _, state, mechanisms = _summary(record)
    rows = [
        ("user", record.login.user),
        ("realm", record.login.realm),
        ("state", state),
        ("mechanisms", mechanisms),
        ("password hash", "kept" if record.password else "none"),
        ("recoverable password", "kept, sealed" if record.secret else "none"),
    ]
    _print(("Property", "Value"), rows)


@user.command()
@configuration
@_ARGUMENT
def enable(file: Path, name: str) -> None:
    """Let USER log in again, with the password as it was."""
    with _opened(file) as (store, realm):
        set_disabled(store, parse_login(name, realm), is_disabled=False)


@user.command()
@configuration
@_ARGUMENT
def disable(file: Path, name: str) -> None:
    """Refuse USER's logins from now on; the password is kept."""
    with _opened(file) as (store, realm):
        set_disabled(store, parse_login(name, realm), is_disabled=True)


@user.command("delete")
@configuration
@_ARGUMENT
def delete_user(file: Path, name: str) -> None:
    """Remove USER and all that is kept of the account."""
    with _opened(file) as (store, realm):
        delete(store, parse_login(name, realm))


@user.command()
@configuration
@_ARGUMENT
def verify(file: Path, name: str) -> None:
    """Try whether USER would be let in with a password.

    Asks for it on a terminal, and reads it from standard input where that is none. Exits with 0 if so, else with 1.
    """
    with _opened(file) as (store, realm):
        login = _read_record(store, name, realm).login  # before asking for a password in vain
        password = ask_password("Password") if is_terminal() else read_password()
        if not is_password(store, login, password):
            raise AccountError(f"{login}: would be refused, the password is another or the user is disabled")


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[Store, str]]:
    """The configuration's store and its default realm. What goes wrong with them ends the command."""
    settings = load(file)
    try:
        with contextlib.closing(open_store(settings.store.url)) as store:
            yield store, settings.auth.realm
    except AccountError as error:
        raise click.ClickException(_printable(str(error))) from None
    except StoreUnavailableError as error:
        raise _Unavailable(_printable(str(error))) from None


def _read_record(store: Store, name: str, realm: str) -> Record:
    login = parse_login(name, realm)
    record = store.read(login)
    if record is None:
        raise NoSuchUserError(login)
    return record


def _summary(record: Record) -> tuple[str, str, str]:
    needs = {name: mechanism.NEED for name, mechanism in MECHANISMS.items() if mechanism.NEED is not Need.NOTHING}
    usable = [name for name, need in needs.items() if record.serves(need)]
    return str(record.login), "disabled" if record.is_disabled else "enabled", " ".join(usable)


def _print(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(map(_printable, row)))
        return
    table = Table()
    for title in header:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(value)) for value in row))
    Console().print(table)


def _printable(text: str) -> str:
    """Text without characters that a terminal, or whoever reads the lines, would obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
