"""What clients say first under TLS, as OpenSSL has them say it."""

from __future__ import annotations

import contextlib
import ssl


def first_words(context: ssl.SSLContext | None = None) -> bytes:
    """The first record of a client with this context, or with the one that is usual."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said).do_handshake()
    return said.read()
