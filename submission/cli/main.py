"""The command `submission`: a group of commands, each in a file of its own, which is loaded when it is typed.

What all of them need together takes a second to load.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import typing

import click

from submission.config import ConfigError

NAMES = (
    "check",
    "client-config",
    "demo",
    "doctor",
    "install-units",
    "limits",
    "penalties",
    "pop",
    "reload",
    "serve",
    "status",
    "user",
)
"""Of the commands; one has the name of its file."""


class _Misconfigured(click.ClickException):
    """Ends a command with EX_CONFIG and the faults, which are lines for a person already."""

    exit_code = os.EX_CONFIG

    def show(self, file: typing.IO[typing.Any] | None = None) -> None:
        click.echo(self.message, file=file, err=file is None)


class _Commands(click.Group):
    """The one place where a faulty configuration becomes an exit code, and where commands are found."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it by its name
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        if cmd_name not in NAMES:
            return None
        word = cmd_name.replace("-", "_")
        return typing.cast("click.Command", getattr(importlib.import_module(f"submission.cli.{word}"), word))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise _Misconfigured(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="submission-proxy", prog_name="submission")
def commands() -> None:
    """An SMTP AUTH submission proxy in front of a sendmail that it leaves untouched."""


def main() -> None:
    r"""Run the command that the arguments name; the console script.

    Names that the terminal's encoding lacks are written as \xNN or the like, and end no command.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    commands(prog_name="submission")
