"""The PROXY header off a connection, before TLS and greeting: from a balancer it has to come, whole and in time."""

from __future__ import annotations

import asyncio

from submission.core.proxy_header import ProxyHeader, ProxyHeaderError, parse
from submission.smtp.stream import ClientGoneError, ClientIdleError, ClientStream

HEADER_TIMEOUT = 5.0
"""Seconds for the whole header, which balancers send as soon as they are connected."""


async def read_header(stream: ClientStream) -> ProxyHeader:
    """Take the header off, and leave what is behind it. Raises ProxyHeaderError, also for one that doesn't come."""
    data = b""
    try:
        async with asyncio.timeout(HEADER_TIMEOUT):
            while (header := parse(data)) is None:
                data += await stream.chunk()
    except (TimeoutError, ClientIdleError):
        raise ProxyHeaderError(f"only {len(data)} octets in time") from None
    except ClientGoneError as error:
        raise ProxyHeaderError(f"only {len(data)} octets, {error}") from None
    stream.give_back(data[header.size :])
    return header
