"""Metrics, health and status page together: a server on a socket that was bound while the process was root.

    open_access(settings)                    before root is dropped; None where there is to be no server
    MetricsServer(...).start(), .close()     on the event loop of one process, after the fork

A port that can't be had is no reason not to take mail: the log tells, and whoever watches the port sees that nobody is
there.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from submission import logs
from submission.config.settings import Metrics, Settings
from submission.metrics.autoconfiguration import make_documents
from submission.metrics.health import Health
from submission.metrics.http import HttpServer, Response
from submission.metrics.site import Site, read_files
from submission.metrics.status import Sources
from submission.smtp.sockets import BindError, bind

SAMPLE = 15.0
"""Seconds between notes for the charts, whose points are minutes."""
TOKEN_LENGTH = range(16, 1025)


class TokenError(Exception):
    """The token can't be used. The text names the file, and says why."""


def read_token(file: Path) -> str:
    """The token in a file, which may be followed by a line's end. Raises TokenError."""
    try:
        with file.open(encoding="ascii") as stream:
            token = stream.read(TOKEN_LENGTH.stop + 2).strip()
    except OSError as error:
        raise TokenError(f'"{file}": {error.strerror}') from None
    except UnicodeDecodeError:
        token = ""
    if len(token) not in TOKEN_LENGTH or not all("!" <= char <= "~" for char in token):
        raise TokenError(f'"{file}" must hold 16 visible ASCII characters or more, such as from openssl rand -hex 20')
    return token


@dataclass(frozen=True, slots=True)
class Access:
    """What has to be had while the process is root: where it is asked, what has to be shown, and the page."""

    sock: socket.socket
    token: str
    files: Mapping[str, Response]


def open_access(settings: Metrics) -> Access | None:
    """Bind and read; None where there is to be no server, and, with a line in the log, where it can't have its port.

    Raises TokenError.
    """
    token = read_token(settings.token_file) if settings.token_file is not None else ""
    if settings.address is None:
        return None
    try:
        return Access(bind(settings.address), token, read_files())
    except BindError as error:
        logs.warning("metrics-unavailable", reason=str(error))
        return None


class MetricsServer:
    """Runs on one event loop."""

    def __init__(self, access: Access, settings: Settings, sources: Sources) -> None:
        self.sources = sources
        site = Site(sources, Health(settings, sources.tls), access.files, make_documents(settings), access.token)
        self._http = HttpServer(access.sock, site.answer)
        self._sampling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Answer from now on, and note each minute what was counted."""
        await self._http.start()
        self._sampling = asyncio.get_running_loop().create_task(self._sample())

    def close(self) -> None:
        """End it."""
        self._http.close()
        if self._sampling is not None:
            self._sampling.cancel()

    async def _sample(self) -> None:
        while True:
            self.sources.note(time.time())
            await asyncio.sleep(SAMPLE)
