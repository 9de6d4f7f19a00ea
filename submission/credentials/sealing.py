"""Sealed secrets: passwords that a mechanism such as CRAM-MD5 needs in the clear, encrypted under a key file.

The store alone gives its thief nothing of them, neither does the key file alone. A sealed value reads

    v1:KEYID:base64(nonce, ciphertext and tag)        AES-256-GCM, nonce of 12 octets

with user, realm and property as associated data, so that a value copied to another row doesn't open there.

The key file holds a line `KEYID base64(key)` for each key; the first one seals, all of them open, so a key can be
retired row by row. It is made at the first use, complete before it has its name, and whoever comes second uses it too.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from submission.core.addresses import Login
from submission.credentials.store import StoreUnavailableError

_NONCE = 12
_MAX_FILE = 64 * 1024
_KEY_LINE = re.compile(r"(?P<id>[0-9a-f]{8}) (?P<key>[A-Za-z0-9+/]{43}=)")
_SEALED = re.compile(r"v1:(?P<id>[0-9a-f]{8}):(?P<data>[A-Za-z0-9+/]+={0,2})")


class Sealer:
    """Seals and opens; made from a key file. Raises StoreUnavailableError throughout."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = next(iter(keys))
        self._current_key = keys[self._current]

    @classmethod
    def from_file(cls, path: Path) -> Sealer:
        """The sealer of a key file, which is made if it isn't there."""
        try:
            if not path.exists():
                _make(path)
            return cls(_read(path))
        except OSError as error:
            raise StoreUnavailableError(f"{path}: {error.strerror}") from error

    def seal(self, password: str, login: Login, purpose: str) -> str:
        """The sealed form of a password, good for this login and purpose only."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._keys[self._current].encrypt(nonce, password.encode(), _bind(login, purpose))
        return f"v1:{self._current}:{base64.b64encode(nonce + sealed).decode()}"

    def derive(self, purpose: str) -> bytes:
        """A key of 32 octets for another purpose, the same for as long as the current key is (HKDF, RFC 5869)."""
        return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(self._current_key)

    def open(self, sealed: str, login: Login, purpose: str) -> str:
        """The password again."""
        match = _SEALED.fullmatch(sealed)
        key = self._keys.get(match["id"]) if match else None
        if match is None or key is None:
            raise StoreUnavailableError(f"a sealed secret of {login} is under a key that the key file doesn't have")
        try:
            data = base64.b64decode(match["data"], validate=True)
            return key.decrypt(data[:_NONCE], data[_NONCE:], _bind(login, purpose)).decode()
        except (InvalidTag, ValueError):  # binascii.Error is one
            raise StoreUnavailableError(f"a sealed secret of {login} doesn't open: damaged or moved") from None


def _bind(login: Login, purpose: str) -> bytes:
    return f"{login.user}\0{login.realm}\0{purpose}".encode()


def _read(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        text = file.read(_MAX_FILE).decode("ascii", "replace")
    if stat.S_IMODE(mode) & 0o077:
        raise StoreUnavailableError(
            f"{path}: others than its owner may use it; chmod 600 it, and think of new passwords"
        )
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _KEY_LINE.fullmatch(line)
        if match is None:
            raise StoreUnavailableError(f"{path}:{number}: not a key, which is 8 hex digits, a blank and 44 of base64")
        if match["id"] in keys:
            raise StoreUnavailableError(f"{path}:{number}: the key's id is that of another key")
        keys[match["id"]] = binascii.a2b_base64(match["key"])
    if not keys:
        raise StoreUnavailableError(
            f"{path}: is empty; restore it from a backup, or remove it and set all passwords anew"
        )
    return keys


def _make(path: Path) -> None:
    """Write a new key file in one step; if another process was faster, its file stays."""
    line = f"{secrets.token_hex(4)} {base64.b64encode(secrets.token_bytes(32)).decode()}\n"
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            folder = path.parent.stat()
            if os.geteuid() == 0:
                os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
