"""What the commands have in common: `-c FILE`."""

from __future__ import annotations

from pathlib import Path

import click

from submission.config import default_path

configuration = click.option(
    "-c",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=default_path,
    help="The configuration; $SUBMISSION_CONFIG or /etc/submission/submission.toml unless given.",
)
"""Decorates a command, which gets the path as `file`. A ConfigError that it lets through ends it with 78."""
