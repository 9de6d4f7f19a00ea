"""Metrics, health and status page in this process, as the service has them, with a relay that a test has scripted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from submission.config.settings import Settings
from submission.metrics.counting import Counting
from submission.metrics.server import MetricsServer
from submission.service.monitoring import open_monitoring
from submission.smtp.places import Places, Row
from submission.smtp.tls import ServerTls
from submission.state.grants import GrantTable
from submission.state.penalties import PenaltyTable
from submission.state.quotas import QuotaTable
from submission.state.sqlite import SqliteState
from tests.support.authority import Authority
from tests.support.network import free_port

LISTENER = "127.0.0.1:587"


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request got."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Monitored:
    """The server, and what it reads from: each of `counting` and `rows` is another process's."""

    settings: Settings
    server: MetricsServer
    port: int
    counting: tuple[Counting, Counting]
    rows: tuple[Row, Row]
    grants: GrantTable
    penalties: PenaltyTable
    quotas: QuotaTable

    async def get(self, path: str, fields: Mapping[str, str] | None = None, method: str = "GET") -> Answered:
        """Ask for a path, as a browser on this host would."""
        head = {"Host": f"127.0.0.1:{self.port}", **(fields or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        return parse(await self.send("\r\n".join(lines).encode()))

    async def send(self, octets: bytes) -> bytes:
        """Send octets, and read until the server has closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(octets)
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def parse(octets: bytes) -> Answered:
    """The answer that octets are."""
    head, _, body = octets.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1"
    fields = dict(line.lower().split(": ", 1) for line in lines)
    assert fields["connection"] == "close"
    assert len(body) in (0, int(fields["content-length"]))
    return Answered(HTTPStatus(int(status)), fields, body)


@contextlib.asynccontextmanager
async def monitored(
    folder: Path,
    relay: str,
    metrics: Mapping[str, object] | None = None,
    *,
    days: float = 0,
    listener: str = LISTENER,
) -> AsyncIterator[Monitored]:
    """A server that tells of two processes, with a certificate that is good for a year from so many days on."""
    authority = Authority()
    authority.issue(folder, "mail.example.com", days=days)
    port = free_port()
    settings = Settings.model_validate(
        {
            "hostname": "mail.example.com",
            "state_dir": str(folder),
            "listen": [{"address": listener}],
            "tls": {"certificate": f"{folder}/mail.example.com.pem", "key": f"{folder}/mail.example.com.key"},
            "relay": {"address": relay},
            "limits": {"user": {"messages_per_hour": 10}, "address": {"messages_per_day": 5}},
            "metrics": {"address": f"127.0.0.1:{port}", **(metrics or {})},
        }
    )
    places, tls = Places(2, 100, 100), ServerTls(settings.tls, ("1.2",), datetime.now(UTC))
    monitoring = open_monitoring(settings, 2)
    with contextlib.closing(SqliteState(folder / "state.db")) as state:
        server = monitoring.serve(settings, places, tls, state)
        assert server is not None
        await server.start()
        try:
            yield Monitored(
                settings,
                server,
                port,
                (Counting(monitoring.counters, 0), Counting(monitoring.counters, 1)),
                (places.row(0), places.row(1)),
                server.sources.grants,
                server.sources.penalties,
                server.sources.quotas,
            )
        finally:
            server.close()


def occupied(port: int = 0) -> socket.socket:
    """A port of 127.0.0.1, any unless told, that somebody listens on."""
    return socket.create_server(("127.0.0.1", port))
