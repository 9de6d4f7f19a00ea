"""`submission penalties`: who has to wait, or isn't let try, for failed logins; and an end to that."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.tables import moment, print_table, printable
from submission.config import Settings, load
from submission.core.penalties import Penalty, rule_of
from submission.credentials import derive_key, open_store
from submission.credentials.accounts import AccountError, parse_login
from submission.credentials.store import StoreUnavailableError
from submission.state import StateUnavailableError
from submission.state.penalties import KEY_PURPOSE, PenaltyTable
from submission.state.sqlite import SqliteState


class _Unavailable(click.ClickException):
    """Ends a command with EX_UNAVAILABLE."""

    exit_code = os.EX_UNAVAILABLE


@click.group(invoke_without_command=True)
@configuration
@click.pass_context
def penalties(context: click.Context, file: Path) -> None:
    """Show who has to wait, or is refused, after failed logins.

    Columns: an address, a network, or a user; failures that count now; seconds that the next login has to wait; until
    when no login is tried at all. A user whom the store doesn't know is shown as # and a code.
    """
    if context.invoked_subcommand is not None:
        return
    with _opened(file) as (table, settings):
        now = time.time()
        names = _names(table, settings)
        found = sorted(table.penalties().items(), key=lambda item: item[1].count(now), reverse=True)
    print_table(
        ("Who", "Failures", "Delay", "Refused until"),
        ((_who(key, names), *_columns(key, penalty, now)) for key, penalty in found),
    )


@penalties.command()
@configuration
@click.option("--all", "is_all", is_flag=True, help="Clear everything.")
@click.argument("whom", metavar="[ADDRESS|NETWORK|USER]...", nargs=-1)
def clear(file: Path, *, is_all: bool, whom: tuple[str, ...]) -> None:
    """Let addresses, networks and users try again at once. A running server knows of it at once.

    A network clears all that lies in it, a user the delays that failed logins by that name brought.
    """
    if is_all == bool(whom):
        raise click.UsageError("name addresses, networks or users, or say --all")
    with _opened(file) as (table, settings):
        known = list(table.penalties())
        cleared = known if is_all else [key for who in whom for key in _keys_of(who, known, table, settings)]
        table.clear(cleared)
    if not cleared and not is_all:
        raise click.ClickException("none of these has a penalty")


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[PenaltyTable, Settings]]:
    settings = load(file)
    try:
        key = derive_key(settings, KEY_PURPOSE)
        with contextlib.closing(SqliteState(settings.state_dir / "state.db")) as state:
            yield PenaltyTable(state, key), settings
    except (StateUnavailableError, StoreUnavailableError) as error:
        raise _Unavailable(printable(str(error))) from None


def _names(table: PenaltyTable, settings: Settings) -> dict[str, str]:
    """The keys of users that the store knows, with their names."""
    with contextlib.closing(open_store(settings.store.url)) as store:
        return {f"user {table.digest(str(record.login))}": str(record.login) for record in store.records()}


def _who(key: str, names: dict[str, str]) -> str:
    kind, _, value = key.partition(" ")
    return names.get(key, f"#{value}") if kind == "user" else value


def _columns(key: str, penalty: Penalty, now: float) -> tuple[str, str, str]:
    refused = moment(penalty.refused_until) if penalty.is_refused(now) else "-"
    return f"{penalty.count(now):.0f}", f"{penalty.delay(rule_of(key), now):.0f} s", refused


def _keys_of(who: str, known: list[str], table: PenaltyTable, settings: Settings) -> Iterator[str]:
    """The keys that an admin means."""
    try:
        network = ip_network(who, strict=False)
    except ValueError:
        try:
            key = f"user {table.digest(str(parse_login(who, settings.auth.realm)))}"
        except AccountError as error:
            raise click.UsageError(str(error)) from None
        if key in known:
            yield key
        return
    for key in known:
        kind, _, value = key.partition(" ")
        if kind != "user" and ip_network(value).overlaps(network):
            yield key
