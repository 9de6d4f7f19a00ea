"""`submission check`: whether the configuration is right, and all is there that it points to.

A faulty file is told by the loader. If it is right by itself, the files, the folder and the user that it names are
looked at here, without changing anything. Whether the running service works is the matter of `submission doctor`.
"""

from __future__ import annotations

import datetime
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from submission.cli.check.certificates import examine_certificates
from submission.cli.check.findings import Finding, check_mode, check_own, may_read, may_write
from submission.cli.check.pop_before_smtp import examine_pop_before_smtp
from submission.cli.options import configuration
from submission.config import ConfigError, Settings, load
from submission.config.values import UnixAddress
from submission.config.vouchers import OAuth
from submission.core.addresses import Login
from submission.credentials import open_store
from submission.credentials.store import StoreUnavailableError
from submission.credentials.tokens import IssuerUnavailableError
from submission.metrics.server import TokenError, read_token


@click.command()
@configuration
def check(file: Path) -> None:
    """Check the configuration and all that it points to.

    Prints the settings in force, defaults included, or all that is wrong. Exits with 0, or with 78 if anything is
    wrong.
    """
    settings = load(file)
    findings = list(examine(settings, datetime.datetime.now(datetime.UTC)))
    click.echo(settings.effective(), nl=False)
    for finding in findings:
        if finding.is_warning:
            click.echo(f"{file}:{finding.key}: warning: {finding.text}", err=True)
    faults = tuple(f"{file}:{finding.key}: {finding.text}" for finding in findings if not finding.is_warning)
    if faults:
        raise ConfigError(faults)


def examine(settings: Settings, now: datetime.datetime) -> Iterator[Finding]:
    """Everything that is wrong outside of the file; `now` is an aware time."""
    user = _user(settings.user)
    if user is None:
        text = f'"{settings.user}" does not exist, must be a user of the system'
        # It is needed for nothing but to get rid of root's power, so without that it may be missing.
        yield Finding("user", text, is_warning=os.geteuid() != 0)
    yield from _state_dir(settings.state_dir, user)
    yield from check_own("store.key_file", settings.store.key_file, 0o600, user)
    yield from _store(settings.store.url, user)
    for number, listener in enumerate(settings.listen):
        if isinstance(listener.address, UnixAddress) and not listener.address.path.parent.is_dir():
            yield Finding(f"listen[{number}].address", f'"{listener.address.path.parent}" is not a folder')
    yield from examine_certificates(settings, user, now)
    yield from _issuer(settings.auth.oauth, user)
    yield from examine_pop_before_smtp(settings.pop_before_smtp, user)
    yield from _token(settings.metrics.token_file)
    alert = settings.limits.user.alert
    if alert and not (Path(alert[0]).is_file() and os.access(alert[0], os.X_OK)):
        yield Finding("limits.user.alert", f'"{alert[0]}" is not there, or no program')


def _token(file: Path | None) -> Iterator[Finding]:
    """Whether the token of the metrics can be used; it is read before root is dropped."""
    if file is None:
        return
    yield from check_mode("metrics.token_file", file, 0o640)
    try:
        read_token(file)
    except TokenError as error:
        yield Finding("metrics.token_file", str(error))


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return None
    return user if user.pw_uid != 0 else None


def _state_dir(folder: Path, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    wish = f"must be a folder that {user.pw_name if user else 'the service'} may write to and others may not enter"
    try:
        status = folder.stat()
    except OSError as error:
        yield Finding("state_dir", f'"{folder}": {error.strerror}, {wish}')
        return
    if not stat.S_ISDIR(status.st_mode):
        yield Finding("state_dir", f'"{folder}" is not a folder, {wish}')
        return
    if status.st_mode & stat.S_IRWXO:
        yield Finding("state_dir", f'"{folder}" has mode {stat.S_IMODE(status.st_mode):04o}, {wish}')
    if not may_write(folder, status, user):
        yield Finding("state_dir", f'"{folder}" cannot be written to, {wish}')


def _store(url: str, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether the accounts are closed to others. A file that isn't ours has to be there, too, and to be readable."""
    scheme, _, name = url.partition(":")
    path = Path(name)
    if scheme == "sqlite":
        yield from check_own("store.url", path, 0o660, user)
        return
    try:
        open_store(url).read(Login("nobody", "nowhere"))
    except StoreUnavailableError as error:
        yield Finding("store.url", str(error))
        return
    if os.geteuid() == 0 and user is not None and not may_read(path, user):
        text = f"cannot be read by {user.pw_name}, must be open to a group of its (usermod -aG sasl {user.pw_name})"
        yield Finding("store.url", f'"{path}" {text}')


def _issuer(oauth: OAuth, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether the service, no longer root, will get at the files that it checks tokens by; the issuer isn't asked."""
    if not oauth.issuer:
        return
    from submission.credentials.issuer import read_keys, read_secret  # here, for its libraries are large

    if oauth.jwks.startswith("/"):
        yield from _read_by("auth.oauth.jwks", Path(oauth.jwks), read_keys, user)
    if oauth.client_secret_file is not None:
        yield from _read_by("auth.oauth.client_secret_file", oauth.client_secret_file, read_secret, user)
        yield from check_mode("auth.oauth.client_secret_file", oauth.client_secret_file, 0o640)


def _read_by(key: str, file: Path, read: Callable[[Path], object], user: pwd.struct_passwd | None) -> Iterator[Finding]:
    try:
        read(file)
    except IssuerUnavailableError as error:
        yield Finding(key, str(error))
    if os.geteuid() == 0 and user is not None and not may_read(file, user):
        yield Finding(key, f'"{file}" cannot be read by {user.pw_name}, must be readable for the service')
