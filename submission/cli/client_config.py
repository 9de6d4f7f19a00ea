"""`submission client-config`: what to type into a mail program, or to give it to read."""

from __future__ import annotations

import os
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.config import load
from submission.config.client_settings import client_settings
from submission.core.client_settings import FORMATS, Incoming, NoWayError, document


class _NoWay(click.ClickException):
    """Ends the command where mail programs can't use what is configured."""

    exit_code = os.EX_CONFIG


def _incoming(_context: click.Context, _parameter: click.Parameter, url: str | None) -> Incoming | None:
    try:
        return Incoming.parse(url) if url else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("client-config")
@configuration
@click.option(
    "--realm",
    default="",
    metavar="REALM",
    help="Whose users it is for: the domain of logins and addresses; [auth] realm unless given.",
)
@click.option(
    "--format",
    "name",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="For people; Thunderbird; Apple; Outlook; or lines for the domain's zone.",
)
@click.option(
    "--incoming",
    metavar="URL",
    callback=_incoming,
    help="Where mail is read, for programs that set both up at once: imaps://HOST or pop3s://HOST, or imap:// or"
    " pop3:// for STARTTLS; imaps:// at this host unless given.",
)
def client_config(file: Path, realm: str, name: str, incoming: Incoming | None) -> None:
    """Print what users have to type into their mail programs.

    Server, ports, TLS, user name and way to log in: in words, or as a file that a mail program reads by itself.
    """
    settings = load(file)
    incoming = incoming or Incoming.parse(f"imaps://{settings.hostname}")
    try:
        click.echo(document(name, client_settings(settings, realm, incoming)), nl=False)
    except NoWayError as error:
        raise _NoWay(f"{file}: {error}") from None
