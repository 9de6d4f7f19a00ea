"""The client's side of SCRAM (RFC 5802 section 3), for the demo: smtplib knows the older mechanisms only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from submission.core.sasl.scram import PLUS
from submission.core.sasl.scram_keys import SCHEMES


class ScramClient:
    """One exchange, called as smtplib calls it: without a challenge first, then with each of the server's.

    `name` and `password` are ASCII without commas and equals signs; `end_point` is the server's tls-server-end-point.
    A server that doesn't know the password either raises ValueError.
    """

    def __init__(self, mechanism: str, name: str, password: str, end_point: bytes | None) -> None:
        self._hash = SCHEMES[mechanism.removesuffix(PLUS)]
        self._password = password.encode()
        self._header = "p=tls-server-end-point,," if mechanism.endswith(PLUS) else "n,,"
        self._binding = (end_point or b"") if mechanism.endswith(PLUS) else b""
        self._bare = f"n={name},r={secrets.token_urlsafe(18)}"
        self._signature = b""

    def __call__(self, challenge: bytes | None = None) -> str:
        """The answer to a challenge."""
        if challenge is None:
            return self._header + self._bare
        if not self._signature:
            return self._prove(challenge.decode())
        if not hmac.compare_digest(challenge, b"v=" + base64.b64encode(self._signature)):
            raise ValueError("the server doesn't know the password")
        return ""

    def _prove(self, first: str) -> str:
        nonce, salt, iterations = (part[2:] for part in first.split(","))
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, base64.b64decode(salt), int(iterations))
        bound = base64.b64encode(self._header.encode() + self._binding).decode()
        unproved = f"c={bound},r={nonce}"
        said = f"{self._bare},{first},{unproved}".encode()
        client_key = hmac.digest(salted, b"Client Key", self._hash)
        mask = hmac.digest(hashlib.new(self._hash, client_key).digest(), said, self._hash)
        proof = bytes(one ^ other for one, other in zip(client_key, mask, strict=True))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", self._hash), said, self._hash)
        return f"{unproved},p={base64.b64encode(proof).decode()}"
