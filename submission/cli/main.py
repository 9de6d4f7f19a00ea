"""The command `submission`: a group of commands, each in a file of its own."""

from __future__ import annotations

import os
import typing

import click

from submission.cli.check import check
from submission.cli.client_config import client_config
from submission.cli.demo import demo
from submission.cli.doctor import doctor
from submission.cli.install_units import install_units
from submission.cli.limits import limits
from submission.cli.penalties import penalties
from submission.cli.pop import pop
from submission.cli.reload import reload
from submission.cli.serve import serve
from submission.cli.status import status
from submission.cli.user import user
from submission.config import ConfigError


class _Misconfigured(click.ClickException):
    """Ends a command with EX_CONFIG and the faults, which are lines for a person already."""

    exit_code = os.EX_CONFIG

    def show(self, file: typing.IO[typing.Any] | None = None) -> None:
        click.echo(self.message, file=file, err=file is None)


class _Commands(click.Group):
    """The one place where a faulty configuration becomes an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise _Misconfigured(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="submission-proxy", prog_name="submission")
def commands() -> None:
    """An SMTP AUTH submission proxy in front of a sendmail that it leaves untouched."""


commands.add_command(check)
commands.add_command(client_config)
commands.add_command(demo)
commands.add_command(doctor)
commands.add_command(install_units)
commands.add_command(limits)
commands.add_command(penalties)
commands.add_command(pop)
commands.add_command(reload)
commands.add_command(serve)
commands.add_command(status)
commands.add_command(user)


def main() -> None:
    """Run the command that the arguments name; the console script."""
    commands(prog_name="submission")
