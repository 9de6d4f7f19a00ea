"""`submission user import`: accounts from other programs' files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from submission.cli.options import configuration
from submission.cli.tables import print_table, printable
from submission.cli.user.opened import opened
from submission.core.account_files import Account, Found, Refusal
from submission.core.account_files.registry import READERS, guess
from submission.credentials.importing import Importer, Taken
from submission.credentials.sasldb2 import is_sasldb2, read_passwords

SASLDB2 = "sasldb2"
MAX_FILE = 64 << 20
LONG = 20
"""Accounts from which on a terminal sees how far it is."""

_EXIM_RULES = """
Exim's switches for who may send as whom are rules of the configuration:
  check_sender_auth        [policy] sender = "realm"
  check_sender_auth_exact  [policy] sender = "own"
"""


class _Unreadable(click.ClickException):
    """Ends a command with EX_DATAERR."""

    exit_code = os.EX_DATAERR


@click.command("import")
@configuration
@click.option(
    "--format",
    "form",
    type=click.Choice([SASLDB2, *READERS]),
    help="The file's format; guessed from its first line unless given.",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Tell what would be taken, and change nothing.")
@click.option("--replace", "may_replace", is_flag=True, help="Replace accounts that are there; they are left else.")
@click.option("-n", "is_without_secret", is_flag=True, help="Keep no recoverable passwords: no CRAM-MD5 or DIGEST-MD5.")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
def import_accounts(
    *, file: Path, form: str | None, is_dry: bool, may_replace: bool, is_without_secret: bool, source: Path
) -> None:
    """Take accounts from FILE, which another program kept.

    `-` is standard input. The formats:

    \b
    sasldb2      Cyrus SASL's file
    exim         auth_logins: login[@domain] password
    passwd-file  Dovecot's: user:{SCHEME}password:...
    htpasswd     Apache's: user:hash
    csv          a header with user, realm, password or hash, disabled

    A hash is good for PLAIN and LOGIN, and replaced by all that we keep at its user's next login. Prints what was
    taken and, to standard error, what was not and why. Exits with 0 if all was taken, with 1 if some was not, with 65
    if the file can't be read. May be interrupted and run again.
    """  # noqa: D301 - \b is click's
    found = list(_read(source, form))
    with opened(file) as accounts:
        importer = Importer(
            accounts.store,
            accounts.sealer(),
            accounts.realm,
            may_replace=may_replace,
            keep_secret=not is_without_secret,
            is_dry=is_dry,
        )
        results = list(_follow(importer.take(found), len(found)))
    taken = [each for each in results if isinstance(each, Taken)]
    refused = [each for each in results if isinstance(each, Refusal)]
    print_table(("User", "Taken as"), ((str(each.login), each.how) for each in taken))
    for each in refused:
        name = f"{each.name}: " if each.name else ""
        click.echo(printable(f"{source}: {each.place}: {name}{each.reason}"), err=True)
    if form == "exim" and sys.stdout.isatty():
        click.echo(_EXIM_RULES)
    what = "would be taken" if is_dry else "taken"
    click.echo(f"{len(taken)} of {len(results)} {what}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


def _read(source: Path, form: str | None) -> Iterator[Found]:
    is_stdin = str(source) == "-"
    if not is_stdin and (form == SASLDB2 or (form is None and is_sasldb2(source))):
        for number, (user, realm, password) in enumerate(read_passwords(source), 1):
            yield Account(f"entry {number}", f"{user}@{realm}", password=password)
        return
    try:
        if is_stdin:
            octets = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with source.open("rb") as file:
                octets = file.read(MAX_FILE + 1)
    except OSError as error:
        raise _Unreadable(f"{source}: {error.strerror}") from None
    if len(octets) > MAX_FILE:
        raise _Unreadable(f"{source}: is larger than {MAX_FILE >> 20} MiB")
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise _Unreadable(f"{source}: line {line}: is not UTF-8; convert the file, with iconv for example") from None
    form = form or guess(text)
    if form is None:
        raise click.UsageError(f"{source}: its format can't be told from its first line, say --format")
    yield from READERS[form](text)


def _follow(results: Iterable[Taken | Refusal], total: int) -> Iterator[Taken | Refusal]:
    """Show how far it is, where somebody looks on and has to wait."""
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        if total >= LONG and console.is_terminal:
            progress = stack.enter_context(Progress(console=console, transient=True))
            results = progress.track(results, total, description="Accounts")
        yield from results
