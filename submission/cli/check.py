"""`submission check`: whether the configuration is right, and all is there that it points to.

A faulty file is told by the loader. If it is right by itself, the files, the folder and the user that it names are
looked at here, without changing anything. Whether the running service works is the matter of `submission doctor`.
"""

from __future__ import annotations

import datetime
import os
import pwd
import stat
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from submission.cli.options import configuration
from submission.config import ConfigError, Settings, load
from submission.config.settings import Sni, Tls, TlsVersion
from submission.config.values import UnixAddress
from submission.config.vouchers import OAuth
from submission.core.addresses import Login
from submission.credentials import open_store
from submission.credentials.store import StoreUnavailableError
from submission.credentials.tokens import IssuerUnavailableError
from submission.metrics.server import TokenError, read_token
from submission.smtp.pem import Certificate, CertificateError, read_certificate, read_public_key
from submission.smtp.tls import make_context, trust

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
    yield from _own("store.key_file", settings.store.key_file, 0o600, user)
    yield from _store(settings.store.url, user)
    for number, listener in enumerate(settings.listen):
        if isinstance(listener.address, UnixAddress) and not listener.address.path.parent.is_dir():
            yield Finding(f"listen[{number}].address", f'"{listener.address.path.parent}" is not a folder')
    yield from _certificates(settings, user, now)
    yield from _issuer(settings.auth.oauth, user)
    yield from _token(settings.metrics.token_file)


def _token(file: Path | None) -> Iterator[Finding]:
    """Whether the token can be used, which is read before root is dropped."""
    if file is None:
        return
    yield from _mode("metrics.token_file", file, 0o640)
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


def _own(key: str, path: Path, widest: int, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether a file that the service keeps is closed to others, and open to the service once it is no longer root."""
    yield from _mode(key, path, widest)
    if os.geteuid() == 0 and user is not None and path.exists() and not _may_read(path, user):
        yield Finding(key, f'"{path}" cannot be read by {user.pw_name}, must belong to that user (chown)')


def _store(url: str, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether the accounts are closed to others. A file that isn't ours has to be there, too, and to be readable."""
    scheme, _, name = url.partition(":")
    path = Path(name)
    if scheme == "sqlite":
        yield from _own("store.url", path, 0o660, user)
        return
    try:
        open_store(url).read(Login("nobody", "nowhere"))
    except StoreUnavailableError as error:
        yield Finding("store.url", str(error))
        return
    if os.geteuid() == 0 and user is not None and not _may_read(path, user):
        text = f"cannot be read by {user.pw_name}, must be open to a group of its (usermod -aG sasl {user.pw_name})"
        yield Finding("store.url", f'"{path}" {text}')


def _certificates(settings: Settings, user: pwd.struct_passwd | None, now: datetime.datetime) -> Iterator[Finding]:
    """Whether every certificate and key can be used, now and when they are renewed."""
    minimum = max(settings.tls_minimums, default=settings.tls.minimum)
    tables: dict[str, Tls | Sni] = {"tls": settings.tls}
    tables |= {f"tls.sni[{number}]": entry for number, entry in enumerate(settings.tls.sni)}
    for table, files in tables.items():
        if files.certificate is None or files.key is None:
            continue
        yield from _pair(table, files.certificate, files.key, minimum, now)
        if os.geteuid() == 0 and user is not None:
            yield from _closed(f"{table}.certificate", files.certificate, user)
            yield from _closed(f"{table}.key", files.key, user)
    yield from _authorities(settings.tls, minimum, user)


def _pair(
    table: str, certificate_file: Path, key_file: Path, minimum: TlsVersion, now: datetime.datetime
) -> Iterator[Finding]:
    """Whether both can be read, belong together and are good for now."""
    certificate = yield from _tried(f"{table}.certificate", lambda: read_certificate(certificate_file))
    if certificate is not None:
        yield from _dates(f"{table}.certificate", certificate, now)
    key = yield from _tried(f"{table}.key", lambda: read_public_key(key_file, certificate))
    yield from _mode(f"{table}.key", key_file, 0o640)
    if certificate is not None and key is not None:
        yield from _tried(f"{table}.certificate", lambda: make_context(minimum, certificate_file, key_file))


def _authorities(tls: Tls, minimum: TlsVersion, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether clients' certificates can be verified, now and when the authorities change."""
    file = tls.client_ca
    if file is None:
        return
    yield from _tried("tls.client_ca", lambda: trust(make_context(minimum), file))
    if os.geteuid() == 0 and user is not None:
        yield from _closed("tls.client_ca", file, user)


def _issuer(oauth: OAuth, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether the service, no longer root, will get at the files that it checks tokens by; the issuer isn't asked."""
    if not oauth.issuer:
        return
    from submission.credentials.issuer import read_keys, read_secret  # here, for its libraries are large

    if oauth.jwks.startswith("/"):
        yield from _read_by("auth.oauth.jwks", Path(oauth.jwks), read_keys, user)
    if oauth.client_secret_file is not None:
        yield from _read_by("auth.oauth.client_secret_file", oauth.client_secret_file, read_secret, user)
        yield from _mode("auth.oauth.client_secret_file", oauth.client_secret_file, 0o640)


def _read_by(key: str, file: Path, read: Callable[[Path], object], user: pwd.struct_passwd | None) -> Iterator[Finding]:
    try:
        read(file)
    except IssuerUnavailableError as error:
        yield Finding(key, str(error))
    if os.geteuid() == 0 and user is not None and not _may_read(file, user):
        yield Finding(key, f'"{file}" cannot be read by {user.pw_name}, must be readable for the service')


def _tried(key: str, read: Callable[[], _T]) -> Generator[Finding, None, _T | None]:
    """What `read` gives, or None and a finding."""
    try:
        return read()
    except CertificateError as error:
        yield Finding(key, str(error))
        return None


def _dates(key: str, certificate: Certificate, now: datetime.datetime) -> Iterator[Finding]:
    objection = certificate.objection(now)
    if objection is not None:
        yield Finding(key, objection)
    elif certificate.end - now < EXPIRES_SOON:
        yield Finding(key, f"expires at {certificate.end:%Y-%m-%d %H:%M} UTC", is_warning=True)


def _closed(key: str, file: Path, user: pwd.struct_passwd) -> Iterator[Finding]:
    """Whether the service will be able to read a file again once it has dropped root."""
    if not _may_read(file, user):
        text = "so a renewed one is served after a restart only; let a group of that user read it (chgrp, chmod 640)"
        yield Finding(
            key, f'"{file}" cannot be read by {user.pw_name}, {text} and enter the folders above', is_warning=True
        )


def _may_read(file: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` may, by the system's own word: it knows of groups, access lists and the folders above."""
    groups, group = os.getgroups(), os.getegid()
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setegid(user.pw_gid)
        os.seteuid(user.pw_uid)
        with file.open("rb"):
            return True
    except PermissionError:
        return False
    except OSError:  # a finding of its own
        return True
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
