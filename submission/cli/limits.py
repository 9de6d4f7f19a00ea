"""`submission limits`: what users and addresses sent of what they may send; and a new beginning."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.tables import moment, print_table, printable
from submission.config import Settings, load
from submission.core.quotas import Limit, Usage
from submission.credentials import derive_key
from submission.credentials.accounts import AccountError, parse_login
from submission.credentials.store import StoreUnavailableError
from submission.state import StateUnavailableError
from submission.state.quotas import KEY_PURPOSE, QuotaTable, user_key
from submission.state.sqlite import SqliteState


class _Unavailable(click.ClickException):
    """Ends a command with EX_UNAVAILABLE."""

    exit_code = os.EX_UNAVAILABLE


@click.group()
def limits() -> None:
    """Show how much of their limits users have sent, or clear it."""


@limits.command()
@configuration
@click.argument("whom", metavar="[USER|ADDRESS]", required=False)
def show(file: Path, whom: str | None) -> None:
    """Show what was sent of each limit that is set.

    By everybody, or by one user or address. Columns: user or address; limit; how much of it is used, what is under way
    included; how much there is; and, where all of it is used, when there is some again.
    """
    with _opened(file) as (table, settings):
        usages = table.usages()
        key = _key(whom, settings) if whom is not None else ""
        if key:
            usages = {key: usages.get(key, Usage())}
    now = time.time()
    print_table(
        ("Who", "Limit", "Used", "Of", "Free again"),
        (
            (name.partition(" ")[2], limit.name, str(usage.used(limit, now)), str(limit.most), _free(usage, limit, now))
            for name, usage in sorted(usages.items())
            for limit in _limits(name, settings)
            if key or usage.used(limit, now)
        ),
    )


@limits.command()
@configuration
@click.option("--all", "is_all", is_flag=True, help="Clear everything.")
@click.argument("whom", metavar="[USER|ADDRESS]...", nargs=-1)
def clear(file: Path, *, is_all: bool, whom: tuple[str, ...]) -> None:
    """Let users and addresses send as if they had sent nothing. A running server knows of it at once.

    An account that was suspended stays so: `submission user enable` ends that.
    """
    if is_all == bool(whom):
        raise click.UsageError("name users or addresses, or say --all")
    with _opened(file) as (table, settings):
        known = table.usages()
        cleared = set(known) if is_all else known.keys() & {_key(who, settings) for who in whom}
        table.clear(cleared)
    if not cleared and not is_all:
        raise click.ClickException("none of these has sent anything that counts")


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[QuotaTable, Settings]]:
    settings = load(file)
    try:
        key = derive_key(settings, KEY_PURPOSE)
        with contextlib.closing(SqliteState(settings.state_dir / "state.db")) as state:
            yield QuotaTable(state, key), settings
    except (StateUnavailableError, StoreUnavailableError) as error:
        raise _Unavailable(printable(str(error))) from None


def _key(who: str, settings: Settings) -> str:
    """The key of a usage that an admin means."""
    try:
        address = ip_address(who.partition("/")[0])
    except ValueError:
        try:
            return user_key(parse_login(who, settings.auth.realm))
        except AccountError as error:
            raise click.UsageError(str(error)) from None
    return f"address {address if address.version == 4 else ip_network((address, 64), strict=False)}"


def _limits(key: str, settings: Settings) -> tuple[Limit, ...]:
    return settings.limits.user.windows if key.startswith("user ") else settings.limits.address.windows


def _free(usage: Usage, limit: Limit, now: float) -> str:
    return moment(usage.free_at(limit, now)) if usage.used(limit, now) >= limit.most else "-"
