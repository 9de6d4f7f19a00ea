"""`submission pop report`: who still relies on POP before SMTP, so that it can be turned off one day."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.pop.opened import opened
from submission.cli.tables import moment, print_table
from submission.state.grants import Reliance


@click.command()
@configuration
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="A table (the default), CSV or JSON, whose times are seconds since 1970, 0 for never.",
)
def report(file: Path, form: str) -> None:
    """Show who sends by POP before SMTP, and who still needs it.

    How often, by which server, and whether they have authenticated since. Who hasn't authenticated since their last
    message still needs it.
    """
    with opened(file) as (table, _):
        reliances = table.reliances()
    if form == "json":
        click.echo(json.dumps([dataclasses.asdict(reliance) for reliance in reliances], indent=2))
    elif form == "csv":
        names = [field.name for field in dataclasses.fields(Reliance)]
        writer = csv.DictWriter(sys.stdout, names)
        writer.writeheader()
        writer.writerows(map(dataclasses.asdict, reliances))
    else:
        _print(reliances)


def _print(reliances: list[Reliance]) -> None:
    header = ("User", "Needs it", "Since", "Last login", "Logins", "By", "Messages", "Last message", "Last AUTH")
    print_table(
        header,
        (
            (
                each.user,
                _verdict(each),
                moment(each.first),
                moment(each.last),
                str(each.logins),
                f"{each.protocol} {each.server}".strip(),
                str(each.messages),
                moment(each.last_message),
                moment(each.authenticated),
            )
            for each in reliances
        ),
    )


def _verdict(reliance: Reliance) -> str:
    if not reliance.messages:
        return "no, never sent by it"
    return "no, authenticates" if reliance.authenticated > reliance.last_message else "yes"
