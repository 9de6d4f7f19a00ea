"""The table that a command works on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from submission.cli.tables import printable
from submission.config import Settings, load
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState


class Unavailable(click.ClickException):
    """Ends a command with EX_UNAVAILABLE."""

    exit_code = os.EX_UNAVAILABLE


@contextlib.contextmanager
def opened(file: Path) -> Iterator[tuple[GrantTable, Settings]]:
    """The configuration's table. What goes wrong with it ends the command."""
    settings = load(file)
    try:
        with contextlib.closing(SqliteState(settings.state_dir / "state.db")) as state:
            yield GrantTable(state), settings
    except StateUnavailableError as error:
        raise Unavailable(printable(str(error))) from None
