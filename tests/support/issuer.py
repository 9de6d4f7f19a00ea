"""An issuer of tokens for a test: it signs them, publishes its keys, and answers about them, on a loopback port."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from joserfc import jwt
from joserfc.jwk import ECKey, Key

CLIENT_ID = "submission"
SECRET = "a secret: with+signs/and=such"
AUDIENCE = "https://mail.example.com"

Answer = Callable[["Handler"], None]
"""Answers a request in the issuer's stead."""


def claims(issuer: str, **changes: object) -> dict[str, object]:
    """Those of a good token for alice, but for the changes; None takes one away."""
    now = int(time.time())
    usual = {"iss": issuer, "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now + 600, "scope": "openid mail"}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


class Issuer:
    """`with` starts and stops it."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.issuer = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.keys: dict[str, Key] = {}
        self.known: dict[str, Mapping[str, object]] = {}  # token to what introspection says of it
        self.requests: list[str] = []
        self.misbehave: Answer | None = None
        self.rotate("first")

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def jwks(self) -> str:
        """Where its keys are."""
        return self.url + "/keys"

    @property
    def introspection(self) -> str:
        """Where it says what a token is."""
        return self.url + "/introspect"

    def rotate(self, name: str) -> None:
        """Have one key, a new one of this name."""
        self.keys = {name: ECKey.generate_key("P-256", {"kid": name, "use": "sig", "alg": "ES256"})}

    def key_set(self) -> bytes:
        """Its public keys."""
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys.values()]}).encode()

    def token(self, **changes: object) -> str:
        """A signed token; see `claims`."""
        [(name, key)] = self.keys.items()
        return jwt.encode({"alg": "ES256", "kid": name}, claims(self.url, **changes), key)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Give the keys."""
        issuer = self._issuer
        issuer.requests.append(self.path)
        if issuer.misbehave is not None:
            issuer.misbehave(self)
        elif self.path == "/keys":
            self.answer(200, issuer.key_set())
        else:
            self.answer(404)

    def do_POST(self) -> None:
        """Say what a token is, to who has the secret."""
        issuer = self._issuer
        issuer.requests.append(self.path)
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if issuer.misbehave is not None:
            issuer.misbehave(self)
            return
        kind, _, value = self.headers["Authorization"].partition(" ")
        name, _, secret = base64.b64decode(value).decode().partition(":")
        who = (urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret))
        if kind != "Basic" or who != (CLIENT_ID, SECRET):
            self.answer(401)
        elif self.path == "/introspect" and form["token_type_hint"] == ["access_token"]:
            self.answer(200, json.dumps(issuer.known.get(form["token"][0], {"active": False})).encode())
        else:
            self.answer(404)

    def answer(self, status: int, body: bytes = b"", **fields: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    @property
    def _issuer(self) -> Issuer:
        return self.server.issuer  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""
