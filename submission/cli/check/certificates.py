"""Certificates, their keys and authorities: whether they can be read, fit together and are in date."""

from __future__ import annotations

import datetime
import os
import pwd
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

from submission.cli.check.findings import Finding, check_mode, may_read
from submission.config import Settings
from submission.config.settings import Sni, Tls, TlsVersion
from submission.smtp.pem import Certificate, CertificateError, read_certificate, read_public_key
from submission.smtp.tls import make_context, trust

EXPIRES_SOON = datetime.timedelta(days=14)

_T = TypeVar("_T")


def examine_certificates(
    settings: Settings, user: pwd.struct_passwd | None, now: datetime.datetime
) -> Iterator[Finding]:
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
    yield from check_mode(f"{table}.key", key_file, 0o640)
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
    if not may_read(file, user):
        text = "so a renewed one is served after a restart only; let a group of that user read it (chgrp, chmod 640)"
        yield Finding(
            key, f'"{file}" cannot be read by {user.pw_name}, {text} and enter the folders above', is_warning=True
        )
