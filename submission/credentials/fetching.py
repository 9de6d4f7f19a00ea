"""One request to an issuer of tokens, bounded in size and time, that leads nowhere else. The one importer of httpx.

Certificates are checked against the system's authorities. No proxy, no redirection, no cookies, no environment: what
the configuration names is who is asked.
"""

from __future__ import annotations

import asyncio
import ssl
import urllib.parse
from collections.abc import Mapping

import httpx

from submission.credentials.tokens import IssuerUnavailableError

TIMEOUT = 5.0
"""Seconds for a request, from looking the name up to the last octet."""
MAX_ANSWER = 256 * 1024
"""Octets of an answer; the keys of a large provider take five thousand."""

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "submission"}


class Fetcher:
    """Asks for one process. Every method raises IssuerUnavailableError unless there is an answer with status 200."""

    def __init__(self) -> None:
        self._context = ssl.create_default_context()

    async def get(self, url: str) -> bytes:
        """What is there."""
        return await self._fetch("GET", url)

    async def post(self, url: str, form: Mapping[str, str], name: str, secret: str) -> bytes:
        """The answer to a form, from a client that authenticates with name and secret (RFC 6749 section 2.3.1)."""
        quoted = (urllib.parse.quote_plus(name), urllib.parse.quote_plus(secret))
        return await self._fetch("POST", url, form, httpx.BasicAuth(*quoted))

    async def _fetch(
        self, method: str, url: str, form: Mapping[str, str] | None = None, auth: httpx.BasicAuth | None = None
    ) -> bytes:
        data = bytearray()
        client = httpx.AsyncClient(verify=self._context, trust_env=False, headers=_HEADERS, timeout=TIMEOUT)
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                client,
                client.stream(method, url, data=form, auth=auth) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise IssuerUnavailableError(f'"{url}" answers with status {response.status_code}')
                async for chunk in response.aiter_raw():
                    data += chunk
                    if len(data) > MAX_ANSWER:
                        raise IssuerUnavailableError(f'"{url}" answers with more than {MAX_ANSWER} bytes')
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:  # TimeoutError among them
            raise IssuerUnavailableError(f'"{url}": {str(error) or type(error).__name__}') from None
        return bytes(data)
