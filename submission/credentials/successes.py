"""Passwords that were right a moment ago, so that hashing them again can be spared.

What is kept is a digest of name and password, under a key that no other process has and that ends with this one, with
the record that they were right for. Whether that is still what the store has is told by its version, or by the hash in
the record as it is now: a success outlives no change.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

from submission.core.addresses import Login
from submission.credentials.store import Record

REMEMBERED = 10_000
REMEMBERED_FOR = 600.0
"""Seconds that a right password is remembered."""

ADDRESSES = 8
"""Addresses that one was right from, and that are remembered."""


@dataclass(frozen=True, slots=True)
class Success:
    """A password that was right: for this record, which was read in this version of the store."""

    record: Record
    version: object | None
    until: float  # time.monotonic()
    addresses: tuple[str, ...] = ()  # of clients who had it, the latest last


class Successes:
    """Passwords that were right a moment ago; bounded, the oldest forgotten first. Safe for threads."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._kept: OrderedDict[bytes, Success] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, name: str, password: str, version: object | None, address: str | None = None) -> Login | None:
        """Whose password it is, if it was right in this very version of the store, and from that address if one is."""
        success = self._find(name, password)
        if success is None or version is None or success.version != version:
            return None
        return success.record.login if address is None or address in success.addresses else None

    def has(self, name: str, password: str, record: Record) -> bool:
        """Whether it was right for the hash that is in the record now."""
        success = self._find(name, password)
        return success is not None and success.record.password == record.password

    def add(self, name: str, password: str, success: Success) -> None:
        """Remember a success."""
        earlier = self._find(name, password)
        if earlier is not None:  # hashing is due again when it was
            success = replace(success, until=earlier.until, addresses=earlier.addresses)
        digest = self._digest(name, password)
        with self._lock:
            self._kept[digest] = success
            self._kept.move_to_end(digest)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)

    def note(self, name: str, password: str, address: str) -> None:
        """Know from where somebody had this success, if it is one that is remembered."""
        digest = self._digest(name, password)
        with self._lock:
            success = self._kept.get(digest)
            if success is not None and address not in success.addresses:
                self._kept[digest] = replace(success, addresses=(*success.addresses, address)[-ADDRESSES:])

    def _find(self, name: str, password: str) -> Success | None:
        digest = self._digest(name, password)
        with self._lock:
            success = self._kept.get(digest)
        return success if success is not None and success.until > time.monotonic() else None

    def _digest(self, name: str, password: str) -> bytes:
        text = f"{len(name)}:{name}{password}"
        return hashlib.blake2b(text.encode(errors="surrogatepass"), key=self._key, digest_size=32).digest()
