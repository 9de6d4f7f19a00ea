"""What commands print: for people on a terminal a table, for programs elsewhere lines whose columns a tab separates.

A terminal that is too narrow gets those lines, too, for of a table it would have frames with nothing between them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

NARROWEST = 8
"""Characters of a column, its frame included."""


def print_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows of as many columns as the header has, which programs aren't told."""
    console = Console()
    if not sys.stdout.isatty() or console.width < NARROWEST * len(header):
        for row in rows:
            click.echo("\t".join(map(printable, row)))
        return
    console.print(make_table(header, rows))


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
