"""Keys for SCRAM: new ones of a password, and decoys for logins that have none.

The first thing that a SCRAM server says is a login's salt and count of iterations, whoever asks. So a login that isn't
there, or has no keys, has to have these too, the same at each time: they follow from the login and the key file. What
else is in a decoy follows from them as well, and is no hash of anything that could be found.

What a decoy can't hide: a salt that changes shows a new password, and a new key file changes all salts of decoys.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from submission.core.sasl import Need
from submission.core.sasl.scram_keys import HASHES, ITERATIONS, SALT, ScramKeys


def make_keys(password: str, need: Need) -> str:
    """New keys of a prepared password, as they are kept. Takes some 20 ms of CPU."""
    return str(ScramKeys.derive(password.encode(), need, secrets.token_bytes(SALT)))


class Decoys:
    """Makes decoys, under a key that nobody else has."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def keys(self, login: str, need: Need) -> ScramKeys:
        """Keys that look like new ones of this login."""
        size = hashlib.new(HASHES[need]).digest_size
        salt, stored_key, server_key = (
            self._derive(f"{part} {need.name} {login}") for part in ("salt", "stored-key", "server-key")
        )
        return ScramKeys(salt[:SALT], ITERATIONS, stored_key[:size], server_key[:size])

    def _derive(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256")
