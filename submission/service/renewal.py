"""Renewed certificates, taken by each worker when a file has changed; at a reload the supervisor does it (crew.py)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from submission import logs
from submission.smtp.pem import CertificateError
from submission.smtp.tls import ServerTls

WATCH = 5.0
"""Seconds between looks at the files of certificates and keys."""


async def watch(tls: ServerTls) -> None:
    """Take what the files hold when that changes; until cancelled."""
    while True:
        await asyncio.sleep(WATCH)
        await catch_up(tls)


async def catch_up(tls: ServerTls) -> None:
    """Take what the files hold now, if it is something else: who replaces a dead worker has the certificates of old."""
    if await asyncio.to_thread(tls.has_changed):
        await asyncio.to_thread(renew_certificates, tls)


def renew_certificates(tls: ServerTls) -> None:
    """Serve what the files hold now, or go on as before and log why."""
    try:
        tls.reload(datetime.now(UTC))
    except CertificateError as error:
        logs.warning("certificate-refused", reason=str(error))
