"""Sealed secrets: passwords that a mechanism such as CRAM-MD5 needs in the clear, encrypted under a key file.

The store alone gives its thief nothing of them, neither does the key file alone. A sealed value reads

    v1:KEYID:base64(nonce, ciphertext and tag)        AES-256-GCM, nonce of 12 octets

with user, realm and property as associated data, so that a value copied to another row doesn't open there.

Keys are those of the key file (key_file.py): the first one seals, all of them open. While keys are changed, processes
go on: one that meets a key it doesn't know looks into the file again, and none forgets a key that it knew.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from submission.core.addresses import Login
from submission.credentials.key_file import KeyFile
from submission.credentials.store import StoreUnavailableError

_NONCE = 12
_SEALED = re.compile(r"v1:(?P<id>[0-9a-f]{8}):(?P<data>[A-Za-z0-9+/]+={0,2})")


class Sealer:
    """Seals and opens; made from a key file. Raises StoreUnavailableError throughout."""

    def __init__(self, keys: Mapping[str, bytes], file: KeyFile | None = None) -> None:
        self._file = file
        self._keys: dict[str, AESGCM] = {}
        self._lock = threading.Lock()
        self._take(keys)
        self._current_key = keys[self._current]

    @classmethod
    def from_file(cls, path: Path) -> Sealer:
        """The sealer of a key file, which is made if it isn't there."""
        file = KeyFile(path)
        return cls(file.read_or_make(), file)

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    def seal(self, password: str, login: Login, purpose: str) -> str:
        """The sealed form of a password, good for this login and purpose only."""
        self._catch_up()
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._keys[self._current].encrypt(nonce, password.encode(), _bind(login, purpose))
        return f"v1:{self._current}:{base64.b64encode(nonce + sealed).decode()}"

    def derive(self, purpose: str) -> bytes:
        """A key of 32 octets for another purpose, the same for as long as the current key is (HKDF, RFC 5869)."""
        return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(self._current_key)

    def open(self, sealed: str, login: Login, purpose: str) -> str:
        """The password again."""
        match = _SEALED.fullmatch(sealed)
        if match and match["id"] not in self._keys:
            self._catch_up()
        key = self._keys.get(match["id"]) if match else None
        if match is None or key is None:
            raise StoreUnavailableError(f"a sealed secret of {login} is under a key that the key file doesn't have")
        try:
            data = base64.b64decode(match["data"], validate=True)
            return key.decrypt(data[:_NONCE], data[_NONCE:], _bind(login, purpose)).decode()
        except (InvalidTag, ValueError):  # binascii.Error is one
            raise StoreUnavailableError(f"a sealed secret of {login} doesn't open: damaged or moved") from None

    def is_current(self, sealed: str) -> bool:
        """Whether it is sealed by the key that seals now."""
        self._catch_up()
        return sealed.startswith(f"v1:{self._current}:")

    def _catch_up(self) -> None:
        if self._file is not None and self._file.has_changed():
            self._take(self._file.read())

    def _take(self, keys: Mapping[str, bytes]) -> None:
        with self._lock:
            self._keys |= {key_id: AESGCM(key) for key_id, key in keys.items()}
            self._current = next(iter(keys))


def _bind(login: Login, purpose: str) -> bytes:
    return f"{login.user}\0{login.realm}\0{purpose}".encode()
