"""`submission user export`: accounts for other programs, or for a look."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.tables import printable
from submission.cli.user.opened import opened
from submission.core.databases import berkeley_db
from submission.credentials.accounts import SECRET
from submission.credentials.hashing import is_foreign
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record

_HEADER = ("user", "realm", "hash", "scram-sha-256", "scram-sha-1", "disabled")


@click.command()
@configuration
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "passwd-file", "sasldb2"]),
    default="csv",
    help="csv (the default), passwd-file for Dovecot, or sasldb2 for Cyrus SASL.",
)
@click.option(
    "--with-passwords",
    "is_with_passwords",
    is_flag=True,
    help="Passwords in the clear, of whom a recoverable one is kept. Whoever gets the file has them.",
)
@click.option("-o", "target", metavar="FILE", type=click.Path(path_type=Path), help="A new file, of mode 0600.")
def export(*, file: Path, form: str, is_with_passwords: bool, target: Path | None) -> None:
    """Export all accounts, with their hashes.

    To standard output, or the file of -o. sasldb2 holds passwords in the clear and nothing else, so it wants
    --with-passwords and -o. Who is left out for what the format can't hold is told on standard error; then the exit
    code is 1.
    """
    if form == "sasldb2" and not (is_with_passwords and target):
        raise click.UsageError("--format sasldb2 needs --with-passwords and -o FILE: it holds nothing else")
    with opened(file) as accounts:
        sealer = accounts.sealer() if is_with_passwords else None
        rows = [(record, _password(record, sealer) if is_with_passwords else "") for record in accounts.store.records()]
    left_out: list[tuple[str, str]] = []
    if form == "csv":
        octets = _csv(rows, is_with_passwords=is_with_passwords)
    elif form == "passwd-file":
        octets, left_out = _passwd_file(rows)
    else:
        octets, left_out = _sasldb2(rows)
    if target is None:
        sys.stdout.buffer.write(octets)
    else:
        _write(target, octets)
    for name, reason in left_out:
        click.echo(printable(f"{name}: left out: {reason}"), err=True)
    if left_out:
        raise click.exceptions.Exit(1)


def _password(record: Record, sealer: Sealer | None) -> str:
    if record.clear or not record.secret or sealer is None:
        return record.clear
    return sealer.open(record.secret, record.login, SECRET)


def _csv(rows: Iterable[tuple[Record, str]], *, is_with_passwords: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((*_HEADER, *(("password",) if is_with_passwords else ())))
    for record, password in rows:
        writer.writerow(
            (
                record.login.user,
                record.login.realm,
                record.password,
                record.scram_sha_256,
                record.scram_sha_1,
                "yes" if record.is_disabled else "",
                *((password,) if is_with_passwords else ()),
            )
        )
    return text.getvalue().encode()


def _passwd_file(rows: Iterable[tuple[Record, str]]) -> tuple[bytes, list[tuple[str, str]]]:
    lines, left_out = [], []
    for record, password in rows:
        if ":" in str(record.login) or ":" in password:
            left_out.append((str(record.login), "a colon in its name or password ends a field"))
        elif password:
            lines.append(_line(record, "{PLAIN}" + password))
        elif not record.password:
            left_out.append((str(record.login), "has no hash"))
        elif not is_foreign(record.password):
            lines.append(_line(record, "{ARGON2ID}" + record.password))
        else:
            lines.append(_line(record, record.password if record.password[0] == "{" else "{CRYPT}" + record.password))
    return "".join(lines).encode(), left_out


def _line(record: Record, password: str) -> str:
    return f"{record.login}:{password}::::::{'nologin' if record.is_disabled else ''}\n"


def _sasldb2(rows: Iterable[tuple[Record, str]]) -> tuple[bytes, list[tuple[str, str]]]:
    entries, left_out = {}, []
    for record, password in rows:
        if record.is_disabled:
            left_out.append((str(record.login), "is disabled, which sasldb2 can't say"))
        elif not password:
            left_out.append((str(record.login), "no recoverable password is kept"))
        else:
            key = (record.login.user.encode(), record.login.realm.encode(), b"userPassword")
            entries[b"\0".join(key)] = password.encode()
    return berkeley_db.write(entries), left_out


def _write(target: Path, octets: bytes) -> None:
    """Make a file that is there only when it is whole, and never over one that was."""
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
    except FileExistsError:
        raise click.ClickException(f"{target}: is there already, and was left as it is") from None
    except OSError as error:
        raise click.ClickException(f"{target}: {error.strerror}") from None
