"""`submission user app-password`: passwords for one program or device each."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

import click

from submission.cli.options import configuration
from submission.cli.tables import moment, print_table
from submission.cli.user.opened import opened, user_argument
from submission.config.values import seconds
from submission.core.addresses import parse_mailbox
from submission.core.app_passwords import MAX_LIMITS, MAX_OF_USER, RANDOM, AppPassword, check_label, digest, write_out
from submission.credentials.accounts import AccountError, NoSuchUserError
from submission.credentials.store import Record


@click.group("app-password")
def app_password() -> None:
    """Passwords for one program or device each.

    They can be taken back one by one, without a change of the password of USER. They are good for PLAIN and LOGIN, as
    long as USER is enabled.
    """


@app_password.command()
@configuration
@user_argument
@click.option("--label", required=True, help='What it is for, such as "printer"; it stands in the log.')
@click.option("--expires", metavar="TIME", help="When it ends: a day such as 2027-01-31, or in how long, such as 90d.")
@click.option("--network", "networks", multiple=True, help="A network that it is good from; may be said again.")
@click.option("--sender", "senders", multiple=True, help="An address or @domain that it may send as; likewise.")
def add(
    *, file: Path, name: str, label: str, expires: str | None, networks: tuple[str, ...], senders: tuple[str, ...]
) -> None:
    """Make an app password, and show it this once."""
    password = write_out(secrets.token_bytes(RANDOM))
    now = time.time()
    made = AppPassword(
        _checked_label(label), digest(password), now, _end(expires, now), _networks(networks), _senders(senders)
    )

    def change(record: Record | None) -> Record:
        if record is None:
            raise NoSuchUserError(login)
        if any(each.label == label for each in record.app_passwords):
            raise AccountError(f"{login}: has an app password {label!r} already; remove it first, or name another")
        if len(record.app_passwords) >= MAX_OF_USER:
            raise AccountError(f"{login}: has {MAX_OF_USER} app passwords, which is as many as a user may have")
        return replace(record, app_passwords=(*record.app_passwords, made))

    with opened(file) as accounts:
        login = accounts.login(name)
        if accounts.store.keeps_clear:
            raise AccountError("this store keeps one password a user, and no app passwords")
        accounts.store.change(login, change)
    click.echo(password)


@app_password.command("list")
@configuration
@user_argument
def list_app_passwords(file: Path, name: str) -> None:
    """List USER's app passwords.

    Columns: label; when it was made, ends and was last used; the networks and senders that it is limited to.
    """
    with opened(file) as accounts:
        record = accounts.record(name)
    now = time.time()
    print_table(
        ("Label", "Made", "Ends", "Last use", "Networks", "Senders"),
        (
            (
                each.label,
                moment(each.created),
                moment(each.expires) + (" (over)" if each.expires and now >= each.expires else ""),
                moment(each.used),
                " ".join(each.networks) or "any",
                " ".join(each.senders) or "any",
            )
            for each in record.app_passwords
        ),
    )


@app_password.command()
@configuration
@user_argument
@click.argument("label")
def remove(file: Path, name: str, label: str) -> None:
    """Take an app password back.

    Who is logged in by it stays so until they leave.
    """

    def change(record: Record | None) -> Record:
        if record is None:
            raise NoSuchUserError(login)
        left = tuple(each for each in record.app_passwords if each.label != label)
        if len(left) == len(record.app_passwords):
            raise AccountError(f"{login}: has no app password {label!r}")
        return replace(record, app_passwords=left)

    with opened(file) as accounts:
        login = accounts.login(name)
        accounts.store.change(login, change)


def _checked_label(label: str) -> str:
    try:
        check_label(label)
    except ValueError as error:
        raise click.UsageError(f"--label: {error}") from None
    return label


def _end(text: str | None, now: float) -> float:
    if text is None:
        return 0.0
    try:
        end = datetime.fromisoformat(text).timestamp()
    except ValueError:
        try:
            end = now + seconds(text)
        except ValueError:
            raise click.UsageError('--expires: must be a day such as "2027-01-31", or a time such as "90d"') from None
    if end <= now:
        raise click.UsageError("--expires: is over already")
    return end


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    _check_count("--network", texts)
    try:
        return tuple(str(ip_network(text)) for text in texts)
    except ValueError as error:
        raise click.UsageError(f"--network: {error}") from None


def _check_count(option: str, texts: tuple[str, ...]) -> None:
    if len(texts) > MAX_LIMITS:
        raise click.UsageError(f"{option}: may be said {MAX_LIMITS} times")


def _senders(texts: tuple[str, ...]) -> tuple[str, ...]:
    _check_count("--sender", texts)
    for text in texts:
        mailbox = parse_mailbox((text if not text.startswith("@") else f"any{text}").encode())
        if mailbox is None or not mailbox.domain:
            raise click.UsageError('--sender: must be an address, or "@" and a domain')
    return texts
