"""Answers of a store that keeps passwords in the clear, such as Cyrus's sasldb2.

Whatever a mechanism wants is made of the password, for a login that isn't there or is disabled of another one: the work
is the same. Nothing of it is remembered, for who is answered at once would be known for somebody who was here before.

Cyrus prepares no passwords (RFC 4013), and so has kept some that can't be. These are compared as they are.
"""

from __future__ import annotations

import hashlib
import hmac

from submission.core.addresses import Login
from submission.core.sasl import Need
from submission.core.sasl.scram_keys import ScramKeys
from submission.credentials.hashing import prepare
from submission.credentials.store import Record

_NOBODYS_PASSWORD = "nobody's password"  # noqa: S105


def compare(record: Record | None, password: str) -> Login | None:
    """The login, if the password is its own."""
    login, clear = _open(record)
    one, other = (hashlib.sha256(_prepare(text)).digest() for text in (clear, password))
    return login if hmac.compare_digest(one, other) else None


def secret(record: Record | None) -> tuple[Login, bytes] | None:
    """Login and password, as it was set."""
    login, clear = _open(record)
    return (login, clear.encode()) if login else None


def keys(record: Record | None, need: Need, decoy: ScramKeys) -> tuple[Login | None, ScramKeys]:
    """Login and keys for SCRAM, with the decoy's salt. Takes some 20 ms of CPU."""
    login, clear = _open(record)
    derived = ScramKeys.derive(_prepare(clear), need, decoy.salt, decoy.iterations)
    return (login, derived) if login else (None, decoy)


def _open(record: Record | None) -> tuple[Login | None, str]:
    if record is None or record.is_disabled or not record.clear:
        return None, _NOBODYS_PASSWORD
    return record.login, record.clear


def _prepare(text: str) -> bytes:
    try:
        return prepare(text).encode()
    except ValueError:
        return text.encode("utf-8", "surrogatepass")
