"""`submission check`: whether the configuration is right, and all is there that it points to.

A faulty file is told by the loader. If it is right by itself, the files, the folder and the user that it names are
looked at here, without changing anything. Whether the running service works is the matter of `submission doctor`.
"""

from __future__ import annotations

import datetime
import os
import pwd
import ssl
import stat
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from submission.cli.options import configuration
from submission.config import ConfigError, Settings, load
from submission.config.values import UnixAddress

EXPIRES_SOON = datetime.timedelta(days=14)

_T = TypeVar("_T")


class Finding(NamedTuple):
    """What is wrong with the value of a key, and what would be right; a warning is not a reason to fail."""

    key: str
    text: str
    is_warning: bool = False


@click.command()
@configuration
def check(file: Path) -> None:
    """Check the configuration and all that it points to; print the effective settings.

    Exits with 0, or with 78 if anything is wrong.
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
    yield from _mode("store.key_file", settings.store.key_file, 0o600)
    yield from _mode("store.url", Path(settings.store.url.removeprefix("sqlite:")), 0o660)
    for number, listener in enumerate(settings.listen):
        if isinstance(listener.address, UnixAddress) and not listener.address.path.parent.is_dir():
            yield Finding(f"listen[{number}].address", f'"{listener.address.path.parent}" is not a folder')
    if settings.tls.certificate is not None and settings.tls.key is not None:
        yield from _certificate_and_key(settings.tls.certificate, settings.tls.key, now)


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
    if not _may_write(folder, status, user):
        yield Finding("state_dir", f'"{folder}" cannot be written to, {wish}')


def _may_write(folder: Path, status: os.stat_result, user: pwd.struct_passwd | None) -> bool:
    """Whether the service may make files in the folder: as `user` if root starts it, else as whoever runs this."""
    if os.geteuid() != 0:
        return os.access(folder, os.W_OK | os.X_OK)
    if user is None:
        return True  # nobody to ask for, which is a finding of its own
    if status.st_uid == user.pw_uid:
        needed = stat.S_IWUSR | stat.S_IXUSR
    elif status.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        needed = stat.S_IWGRP | stat.S_IXGRP
    else:
        needed = stat.S_IWOTH | stat.S_IXOTH
    return status.st_mode & needed == needed


def _mode(key: str, path: Path, widest: int) -> Iterator[Finding]:
    """Whether a secret file is open to more than it may be. One that isn't there yet will be made rightly."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & ~widest & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding(key, f'"{path}" has mode {mode:04o}, must be {widest:04o} or stricter')


def _certificate_and_key(certificate_file: Path, key_file: Path, now: datetime.datetime) -> Iterator[Finding]:
    """Whether both can be read, belong together and are good for now."""
    wish = "must be a certificate and its chain in PEM format"
    certificate = yield from _parsed("tls.certificate", certificate_file, _certificate, wish)
    if certificate is not None:
        yield from _dates(certificate, now)
    wish = "must be a private key in PEM format without passphrase"
    public_key = yield from _parsed("tls.key", key_file, _public_key, wish)
    yield from _mode("tls.key", key_file, 0o640)
    if certificate is None or public_key is None:
        return
    if certificate.public_key() != public_key:
        yield Finding("tls.key", f'"{key_file}" is not the key of "{certificate_file}"')
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file)
    except ssl.SSLError as error:
        yield Finding("tls.certificate", f'"{certificate_file}" is refused by OpenSSL: {error.reason}')


def _parsed(key: str, path: Path, parse: Callable[[bytes], _T], wish: str) -> Generator[Finding, None, _T | None]:
    """What `parse` makes of a file, or None and a finding."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        yield Finding(key, f'"{path}": {error.strerror}, {wish}')
    except (ValueError, TypeError, UnsupportedAlgorithm):  # all that cryptography raises; some texts fill a page
        yield Finding(key, f'"{path}" cannot be used, {wish}')
    return None


def _certificate(data: bytes) -> x509.Certificate:
    certificate = x509.load_pem_x509_certificates(data)[0]
    certificate.public_key()  # raises where its kind is unknown
    return certificate


def _public_key(data: bytes) -> PublicKeyTypes:
    return load_pem_private_key(data, password=None).public_key()


def _dates(certificate: x509.Certificate, now: datetime.datetime) -> Iterator[Finding]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        yield Finding("tls.certificate", f"is valid from {begin:%Y-%m-%d %H:%M} UTC on only")
    elif now > end:
        yield Finding("tls.certificate", f"expired at {end:%Y-%m-%d %H:%M} UTC")
    elif end - now < EXPIRES_SOON:
        yield Finding("tls.certificate", f"expires at {end:%Y-%m-%d %H:%M} UTC", is_warning=True)
