"""What a server keeps for SCRAM instead of a password: keys that check a proof, and that nobody can log in with.

    SaltedPassword = PBKDF2(password, salt, iterations)                                      RFC 5802 section 3
    ClientKey      = HMAC(SaltedPassword, "Client Key")     StoredKey = H(ClientKey)
    ServerKey      = HMAC(SaltedPassword, "Server Key")

StoredKey recognises ClientKey, which only the password gives; ServerKey lets us prove that we keep it. They are written
as Dovecot does, so that records can be taken from there and given back:

    {SCRAM-SHA-256}iterations,base64(salt),base64(StoredKey),base64(ServerKey)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from submission.core.sasl import Need
from submission.core.sasl.decoding import decode_base64

ITERATIONS = 60_000
"""Of new keys. It is as dear as a guess may be made: Cyrus's client takes 65,536 at most, and goes away beyond."""
MIN_ITERATIONS, MAX_ITERATIONS = 4096, 10_000_000
"""RFC 5802 section 5.1 has the least; what is kept may have been made elsewhere."""
SALT = 16
"""Octets of a new salt."""
MAX_SALT = 256

HASHES: Mapping[Need, str] = MappingProxyType({Need.SCRAM_SHA_256: "sha256", Need.SCRAM_SHA_1: "sha1"})
"""The hash that keys are made with, as hashlib calls it."""

SCHEMES: Mapping[str, str] = MappingProxyType({"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"})
"""Likewise, by the mechanism's name without -PLUS."""

_NOTATION = re.compile(r"\{([A-Z0-9-]{1,16})\}([1-9][0-9]{3,7}),([^,]{1,400}),([^,]{1,64}),([^,]{1,64})")


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """One login's keys for one hash, whose length theirs is."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ScramKeys:
        """The keys in Dovecot's notation. Raises ValueError, whose text doesn't repeat the input."""
        match = _NOTATION.fullmatch(text)
        if match is None or match[1] not in SCHEMES:
            raise ValueError("is no SCRAM record, {SCRAM-SHA-256}iterations,salt,stored key,server key")
        iterations = int(match[2])
        salt, stored_key, server_key = (decode_base64(part.encode()) for part in match.groups()[2:])
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise ValueError(f"must have {MIN_ITERATIONS} to {MAX_ITERATIONS} iterations")
        if not salt or len(salt) > MAX_SALT:
            raise ValueError(f"must have a salt of 1 to {MAX_SALT} octets, in base64")
        size = hashlib.new(SCHEMES[match[1]]).digest_size
        if stored_key is None or server_key is None or {len(stored_key), len(server_key)} != {size}:
            raise ValueError(f"must have keys of {size} octets, in base64")
        return cls(salt, iterations, stored_key, server_key)

    @classmethod
    def derive(cls, password: bytes, need: Need, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
        """The keys of a prepared password, in UTF-8. For a thread: it takes some 20 ms of CPU on purpose."""
        name = HASHES[need]
        salted = hashlib.pbkdf2_hmac(name, password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", name)
        return cls(salt, iterations, hashlib.new(name, client_key).digest(), hmac.digest(salted, b"Server Key", name))

    def __str__(self) -> str:
        """Dovecot's notation."""
        size = len(self.stored_key)
        [scheme] = (scheme for scheme, name in SCHEMES.items() if hashlib.new(name).digest_size == size)
        values = (base64.b64encode(value).decode() for value in (self.salt, self.stored_key, self.server_key))
        return f"{{{scheme}}}{self.iterations}," + ",".join(values)
