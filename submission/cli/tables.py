"""What commands print: for people on a terminal a table, for programs elsewhere lines whose columns a tab separates."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows of as many columns as the header has, which programs aren't told."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(map(printable, row)))
        return
    Console().print(make_table(header, rows))


def make_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    """A table for a terminal."""
    table = Table()
    for title in header:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    return table


def printable(text: str) -> str:
    """Text without characters that a terminal, or whoever reads the lines, would obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def moment(seconds: float) -> str:
    """A time in seconds since the epoch as people here read it; `-` for none."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds") if seconds else "-"
