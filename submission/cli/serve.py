"""`submission serve`: the proxy in the foreground."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.config import load
from submission.service import StartError, run


@click.command()
@configuration
@click.option("--debug", is_flag=True, help="Log each line that clients and service say, but no passwords or messages.")
def serve(file: Path, *, debug: bool) -> None:
    """Run the proxy in the foreground, until SIGTERM or Ctrl-C.

    Prints `ready` once every worker accepts. SIGHUP has it read its files anew, as `submission reload` does.
    """
    try:
        run(functools.partial(load, file.absolute()), lambda: print("ready", flush=True), shows_dialogue=debug)
    except StartError as error:
        click.echo(f"submission: {error}", err=True)
        sys.exit(error.code)
