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
    """Take what the files hold now, and whenever that changes or `hangup` is set; until cancelled."""
    while True:
        if hangup.is_set():
            hangup.clear()
            await asyncio.to_thread(_reload, tls)
            logs.event("reloaded", pid=os.getpid())
        elif await asyncio.to_thread(tls.has_changed):  # a worker that takes a dead one's place has old certificates
            await asyncio.to_thread(_reload, tls)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH):
                await hangup.wait()


def _reload(tls: ServerTls) -> None:
    """Serve what the files hold now, or go on as before and log why."""
    try:
        tls.reload(datetime.now(UTC))
    except CertificateError as error:
        logs.event("certificate-refused", reason=str(error))
