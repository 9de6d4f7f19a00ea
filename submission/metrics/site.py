"""Which path gives what, and who may have it.

    /               the status page, with /status.css and /status.js
    /status.json    what it shows
    /metrics        the counters, for Prometheus
    /healthz        200 while all is well, 503 otherwise, and a line for each that was looked at

and what mail programs ask for, if that is wanted (autoconfiguration.py), which is for everybody.

Nothing can be changed here. Whoever shows the token may read, as a bearer's (RFC 6750) or as the password of any name,
which browsers ask for. Without a token the port is a loopback one (settings.py), and a page of another site must not
read it through the browser of somebody here: the name that was asked for has to be an address, or localhost, for no
name of anybody else's is (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from importlib import resources

from submission import logs
from submission.metrics import exposition
from submission.metrics.health import Health
from submission.metrics.http import Request, Response
from submission.metrics.status import Sources, describe
from submission.state import StateUnavailableError

_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILES = {
    "/": ("status.html", "text/html; charset=utf-8"),
    "/status.css": ("status.css", "text/css; charset=utf-8"),
    "/status.js": ("status.js", "text/javascript; charset=utf-8"),
}


def read_files() -> dict[str, Response]:
    """The files of the page, by path."""
    folder = resources.files("submission.metrics") / "page"
    return {
        path: Response(HTTPStatus.OK, (folder / name).read_bytes(), content_type)
        for path, (name, content_type) in _FILES.items()
    }


class Site:
    """Answers requests."""

    def __init__(
        self,
        sources: Sources,
        health: Health,
        files: Mapping[str, Response],
        documents: Mapping[str, Response],
        token: str = "",
    ) -> None:
        """`files` are those of the page, `documents` those for everybody, by path; an empty token is none."""
        self._sources = sources
        self._health = health
        self._token = token
        self._pages: Mapping[str, Callable[[], Awaitable[Response]]] = {
            "/status.json": self._status,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
        }
        self._files = files
        self._documents = documents

    async def answer(self, request: Request) -> Response:
        """What a request gets."""
        response = self._documents.get(request.path.lower())
        if response is None:
            response = self._refuse(request)
        if response is None and request.path in self._pages:
            response = await self._pages[request.path]()
        if response is None:
            response = self._files.get(request.path, Response(HTTPStatus.NOT_FOUND, b"There is nothing.\n"))
        return replace(response, fields={**_POLICY, **response.fields})

    def _refuse(self, request: Request) -> Response | None:
        fields = request.fields
        if request.method not in ("GET", "HEAD"):
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, b"GET or HEAD.\n", fields={"Allow": "GET, HEAD"})
        if self._token:
            if _shows(self._token, fields.get("authorization", "")):
                return None
            wish = {"WWW-Authenticate": 'Basic realm="submission", charset="UTF-8"'}
            return Response(HTTPStatus.UNAUTHORIZED, b"The token of metrics.token_file is wanted.\n", fields=wish)
        if _is_ours(fields.get("host", "")):
            return None
        text = b"Without metrics.token_file this has to be asked for by an address, such as 127.0.0.1.\n"
        return Response(HTTPStatus.MISDIRECTED_REQUEST, text)

    async def _status(self) -> Response:
        now = time.time()
        self._sources.note(now)
        conditions = await self._health.look()
        status = await asyncio.to_thread(describe, self._sources, conditions, now)
        return Response(HTTPStatus.OK, json.dumps(status).encode(), "application/json")

    async def _metrics(self) -> Response:
        text = await asyncio.to_thread(_expose, self._sources, time.time())
        return Response(HTTPStatus.OK, text, exposition.CONTENT_TYPE)

    async def _healthz(self) -> Response:
        conditions = await self._health.look()
        is_healthy = not any(condition.fault for condition in conditions)
        lines = [f"{condition.name}: {_on_one_line(condition.fault or 'ok')}\n" for condition in conditions]
        status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(status, "".join(lines).encode(errors="replace"))


def _expose(sources: Sources, now: float) -> bytes:
    gauges = {exposition.CONNECTIONS: float(sources.places.count())}
    try:
        gauges[exposition.GRANTS] = float(len(sources.grants.grants()))
    except StateUnavailableError as error:
        logs.failure("state-unavailable", error)
    expiry = sources.expiry(now)
    if expiry is not None:
        gauges[exposition.EXPIRY] = expiry
    return exposition.expose(sources.counters, gauges)


def _shows(token: str, authorization: str) -> bool:
    """Whether the value of an Authorization field has the token in it."""
    scheme, _, value = authorization.partition(" ")
    shown = value.strip().encode()
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(shown, token.encode())


def _is_ours(host: str) -> bool:
    """Whether the value of a Host field is an address or localhost, with a port or without."""
    name, _, port = host.rpartition(":")
    name = name if name and port.isdigit() else host
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
