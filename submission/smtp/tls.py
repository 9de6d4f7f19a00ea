"""TLS as clients see it."""

from __future__ import annotations

import ssl
from pathlib import Path

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


def make_context(certificate: Path, key: Path, minimum: str) -> ssl.SSLContext:
    """A server's context. `minimum` is "1.0" to "1.3". Raises OSError, ssl.SSLError among them, for bad files.

    Below 1.2 OpenSSL refuses the handshake at its usual security level whatever version is named, for those
    versions need SHA-1 signatures: the floor is only real with the level lowered too.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if minimum in ("1.0", "1.1"):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = _VERSIONS[minimum]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 1  # one is enough to resume with, and each costs CPU and octets
    context.load_cert_chain(certificate, key)
    return context
