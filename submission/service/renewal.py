"""Renewed certificates: taken when a worker is told to reload, and when a file has changed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import UTC, datetime

from submission import logs
from submission.smtp.pem import CertificateError
from submission.smtp.tls import ServerTls

WATCH = 5.0
"""Seconds between looks at the files of certificates and keys."""


async def watch(tls: ServerTls, hangup: asyncio.Event) -> None:
    """Take what the files hold when that changes or `hangup` is set; until cancelled."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH):
                await hangup.wait()
        if hangup.is_set():
            hangup.clear()
            await asyncio.to_thread(_reload, tls)
            logs.event("reloaded", pid=os.getpid())
        else:
            await catch_up(tls)


async def catch_up(tls: ServerTls) -> None:
    """Take what the files hold now, if it is something else: who replaces a dead worker has the certificates of old."""
    if await asyncio.to_thread(tls.has_changed):
        await asyncio.to_thread(_reload, tls)


def _reload(tls: ServerTls) -> None:
    """Serve what the files hold now, or go on as before and log why."""
    try:
        tls.reload(datetime.now(UTC))
    except CertificateError as error:
        logs.warning("certificate-refused", reason=str(error))
