"""`submission pop import`: what poprelayd, POPauthd and UW's pop-auth left, taken into the table.

Grants go into the table, with what was left of their time. One that is there already, by the log or by an earlier
import, isn't counted again. The admin's own lists belong into the configuration, which no command changes: they are
printed as lines to put there.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.pop.opened import opened
from submission.cli.tables import moment, print_table, printable
from submission.config import Settings
from submission.core import addresses
from submission.core.grants import Grant
from submission.core.predecessors import (
    Finding,
    Line,
    Login,
    Refusal,
    read_access,
    read_conf,
    read_info,
    read_localip,
    read_login,
    read_popip,
    read_relay,
)

MAX_FILE = 16 << 20
NOBODY = "unknown"
"""The user of a grant whose maker kept no user."""
DATABASES = ("db", "pag", "dir")
"""Endings of what makemap and Perl make."""
MANY = {"static", "deny", "relay_domains", "logs"}
"""Settings that are lists."""


class _Unreadable(click.ClickException):
    """Ends a command with EX_DATAERR."""

    exit_code = os.EX_DATAERR


@click.command("import")
@configuration
@click.option("--dry-run", is_flag=True, help="Show what would be taken, and change nothing.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
def import_table(file: Path, dry_run: bool, paths: tuple[Path, ...]) -> None:
    """Take over what other POP-before-SMTP systems left.

    \b
    PATH is known by its name:
      access.info                  POPauthd: who had a grant
      access.static, access        POPauthd, sendmail: who may relay anyway, or never
      poprelay.conf                poprelayd: its lifetime and log
      popip                        poprelayd: who had a grant, as `makemap -u` prints it
      localip, relay               poprelayd: sources of its maps of the admin's own; makemap -u prints these, too
      popdata                      UW's pop-auth: a folder with a file an address

    Grants go into the table unless their time is over. The rest is printed as lines for the configuration. Exits with
    1 if anything couldn't be taken, with 65 if a file can't be read.
    """  # noqa: D301 - \b is click's
    findings = [(path, finding) for path in paths for finding in _read(path)]
    with opened(file) as (table, settings):
        grants = list(_grants((finding for _, finding in findings if isinstance(finding, Login)), settings))
        now = time.time()
        if not dry_run:
            known = {(grant.address, grant.user): grant.last for grant in table.grants()}
            table.record(
                grant
                for grant in grants
                if grant.until > now and grant.last > known.get((grant.address, grant.user), 0.0)
            )
    print_table(
        ("Address", "User", "Until", "Taken"),
        (
            (grant.address, grant.user, moment(grant.until), "yes" if grant.until > now else "no, its time is over")
            for grant in grants
        ),
    )
    _print_settings(finding for _, finding in findings if isinstance(finding, Line))
    refused = [(path, finding) for path, finding in findings if isinstance(finding, Refusal)]
    for path, refusal in refused:
        click.echo(printable(f"{path}: {refusal.what}: {refusal.reason}"), err=True)
    if refused:
        raise click.ClickException(f"{len(refused)} of {len(findings)} could not be taken")


def _read(path: Path) -> Iterator[Finding]:
    try:
        if path.is_dir():
            yield from filter(None, map(_note, sorted(path.iterdir())))
            return
        read = _reader(path.name)
        if path.stat().st_size > MAX_FILE:
            raise _Unreadable(printable(f"{path}: is larger than {MAX_FILE >> 20} MiB"))
        yield from read(path.read_bytes().decode("utf-8", "replace"))  # its ends of lines as they are
    except OSError as error:
        raise _Unreadable(printable(f"{path}: {error.strerror}")) from None


def _note(file: Path) -> Finding | None:
    """What a file of popdata says; nothing where pop-expire has taken it away meanwhile."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return Refusal(file.name, "not a file")
    return read_login(file.name, file.name, str(int(status.st_mtime)))


def _reader(name: str) -> Callable[[str], Iterator[Finding]]:
    stem, _, ending = name.rpartition(".")
    if ending in DATABASES:
        raise click.UsageError(
            f"{printable(name)}: a database; `makemap -u hash {printable(stem)}`, or dbm or btree, prints what is in it"
        )
    if name == "access.info":
        return read_info
    if name in ("poprelay.conf", "poprelayd.conf"):
        return read_conf
    if name == "popip":
        return read_popip
    if name.startswith("access"):
        return read_access
    if name.startswith("localip"):
        return read_localip
    if name.startswith("relay"):
        return read_relay
    raise click.UsageError(
        f"{printable(name)}: not a name of a file that can be taken; copy it to one that is, see --help"
    )


def _grants(logins: Iterable[Login], settings: Settings) -> Iterator[Grant]:
    realm, lifetime = settings.auth.realm, settings.pop_before_smtp.lifetime
    for login in logins:
        try:
            user = str(addresses.Login.parse(login.user or NOBODY, realm))
        except ValueError:
            user = f"{NOBODY}@{realm}"
        # A clock that was wrong, or a forged entry, gives no more than a login now would.
        when = min(login.when, time.time())
        yield Grant(login.address, user, "import", "", when, when, when + lifetime)


def _print_settings(lines: Iterable[Line]) -> None:
    values: dict[str, list[str]] = {}
    for line in lines:
        values.setdefault(line.setting, []).append(line.value)
    if not values:
        return
    click.echo("\nFor the configuration:\n\n[pop_before_smtp]")
    for setting, all_of_it in values.items():
        unique = list(dict.fromkeys(all_of_it))
        if setting in MANY:
            click.echo(f"{setting} = [{', '.join(map(_quoted, unique))}]")
        else:
            click.echo(f"{setting} = {_quoted(unique[-1])}")


def _quoted(value: str) -> str:
    return '"' + printable(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
