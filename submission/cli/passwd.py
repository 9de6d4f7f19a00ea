"""`submission-passwd`: sets passwords, as Cyrus SASL's saslpasswd2 does, with its flags and prompts.

As there, -c makes a user or changes an existing one's password, piped input is the password but for a line end behind
it, and -c with -d, an empty password, or two that differ are refused. It is not as there where saslpasswd2 lets slips
of the hand pass, and in exit codes:

- without -c or -d a user must be there already: saslpasswd2 makes one, so that a mistyped name gets a password;
- -d of a user who isn't there fails: saslpasswd2 says nothing and exits with 0;
- -u REALM with user@another fails: saslpasswd2 takes the name's realm and drops REALM;
- a CR before the line end doesn't belong to the password;
- a wrong call exits with 2, any failure with 1: saslpasswd2 has 1 for the former, and 1 or some code of its library.
"""

from __future__ import annotations

import socket
from pathlib import Path

import click

from submission.cli.passwords import ask_password, is_terminal, read_password
from submission.config import ConfigError, default_path, load
from submission.core.addresses import Login
from submission.credentials import find_store, open_store
from submission.credentials.accounts import AccountError, delete, parse_login, set_password
from submission.credentials.sealing import Sealer
from submission.credentials.store import StoreUnavailableError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-c", "is_create", is_flag=True, help="Create the user if it isn't there.")
@click.option("-d", "is_delete", is_flag=True, help="Delete the user.")
@click.option("-n", "is_without_secret", is_flag=True, help="Keep no recoverable password: no CRAM-MD5 or DIGEST-MD5.")
@click.option("-p", "is_piped", is_flag=True, help="Read the password from standard input, without prompts.")
@click.option("-u", "realm", metavar="REALM", help="The realm; [auth] realm of the configuration unless given.")
@click.option(
    "-f", "store", metavar="STORE", help="The store's file instead of a configuration: a sasldb2, or one of ours."
)
@click.option(
    "-C",
    "config",
    metavar="CONFIG",
    type=click.Path(path_type=Path),
    help="The configuration; $SUBMISSION_CONFIG or /etc/submission/submission.toml unless given.",
)
@click.argument("users", metavar="USER", nargs=-1)
def passwd(
    *,
    is_create: bool,
    is_delete: bool,
    is_without_secret: bool,
    is_piped: bool,
    realm: str | None,
    store: str | None,
    config: Path | None,
    users: tuple[str, ...],
) -> None:
    """Set the password of USER, which may be user@realm.

    A running server knows it at once. Asks for the password twice on a terminal, and reads it from standard input where
    that is none. Exits with 0, with 1 where it failed, with 2 where it was called wrongly.
    """
    if len(users) != 1:  # said by us, for click would repeat what is too much, and that may be a password
        raise click.UsageError("one USER is expected, and no password here")
    if is_create and is_delete:
        raise click.UsageError("-c and -d exclude each other")
    if store and config:
        raise click.UsageError("-f and -C exclude each other")
    try:
        url, key_file, default_realm = _place(store, config)
        login = _login(users[0], realm, default_realm)
        if is_delete:
            delete(open_store(url), login)
            return
        accounts = open_store(url)
        sealer = None if accounts.keeps_clear else Sealer.from_file(key_file)
        if not is_create and accounts.read(login) is None:  # before asking for a password in vain
            raise AccountError(f"{login}: no such user; -c creates it")
        password = _ask_twice() if is_terminal() and not is_piped else read_password()
        set_password(accounts, sealer, login, password, may_create=is_create, keep_secret=not is_without_secret)
    except (AccountError, StoreUnavailableError, ConfigError) as error:
        raise click.ClickException(str(error)) from None  # exits with 1


def _place(store: str | None, config: Path | None) -> tuple[str, Path, str]:
    """URL of the store, key file and default realm."""
    if store is not None:
        url = find_store(store)
        return url, Path(url.partition(":")[2]).with_name("store.key"), socket.gethostname()
    settings = load(config or default_path())
    return settings.store.url, settings.store.key_file, settings.auth.realm


def _login(user: str, realm: str | None, default_realm: str) -> Login:
    """-u wins over the default, as with saslpasswd2; with both it and user@realm they have to agree."""
    login = parse_login(user, realm or default_realm)
    if realm is not None and login.realm != parse_login("user", realm).realm:
        raise AccountError(f"{login}: is in another realm than -u says")
    return login


def _ask_twice() -> str:
    password = ask_password("Password")
    if ask_password("Again (for verification)") != password:
        raise AccountError("the passwords differ, nothing was changed")
    return password


def main() -> None:
    """Run the command; the console script."""
    passwd(prog_name="submission-passwd")
