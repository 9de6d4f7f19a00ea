"""`submission pop list`, `add` and `remove`: the table itself."""

from __future__ import annotations

import time
from ipaddress import ip_address
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.pop.opened import opened
from submission.cli.tables import moment, print_table, printable
from submission.config.values import seconds
from submission.core.addresses import Login
from submission.core.grants import Grant


def parse_address(text: str) -> str:
    """An address as it is kept. Raises click.UsageError."""
    try:
        parsed = ip_address(text)
    except ValueError:
        raise click.UsageError(f"{printable(text)}: not an IP address") from None
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


@click.command("list")
@configuration
def list_grants(file: Path) -> None:
    """List all grants.

    Columns: address; user; protocol; server; first and last login; end; number of logins.
    """
    with opened(file) as (table, _):
        grants = sorted(table.grants(), key=lambda grant: grant.until)
    header = ("Address", "User", "Protocol", "Server", "First login", "Last login", "Until", "Logins")
    print_table(
        header,
        (
            (
                grant.address,
                grant.user,
                grant.protocol,
                grant.server or "-",
                moment(grant.first),
                moment(grant.last),
                moment(grant.until),
                str(grant.logins),
            )
            for grant in grants
        ),
    )


@click.command()
@configuration
@click.option(
    "--for", "lifetime", metavar="TIME", help='How long, such as "2h" or "7d"; as after a login unless given.'
)
@click.argument("address")
@click.argument("user")
def add(file: Path, lifetime: str | None, address: str, user: str) -> None:
    """Let ADDRESS send, as if USER had just read mail from there."""
    parsed = parse_address(address)
    with opened(file) as (table, settings):
        try:
            login = Login.parse(user, settings.auth.realm)
            ahead = seconds(lifetime) if lifetime is not None else settings.pop_before_smtp.lifetime
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        now = time.time()
        (grant,) = table.record([Grant(parsed, str(login), "hand", "", now, now, now + ahead)])
    click.echo(f"{grant.address} may send as {printable(grant.user)} until {moment(grant.until)}")


@click.command()
@configuration
@click.argument("address")
@click.argument("user", required=False)
def remove(file: Path, address: str, user: str | None) -> None:
    """Take the grants of ADDRESS away, or only that of USER. The next login there gives a new one."""
    parsed = parse_address(address)
    with opened(file) as (table, settings):
        try:
            login = str(Login.parse(user, settings.auth.realm)) if user is not None else None
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        grants = [grant for grant in table.grants() if grant.address == parsed and login in (None, grant.user)]
        table.remove(grants)
    if not grants:
        raise click.ClickException(f"{parsed}: has no such grant")
