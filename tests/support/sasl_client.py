"""What an honest client answers in a SASL exchange, as terse as it may be; nothing in it is random."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re


def cram_md5(challenge: str, user: str, password: str) -> str:
    """The answer of RFC 2195."""
    return f"{user} {hmac.new(password.encode(), challenge.encode(), 'md5').hexdigest()}"


def digest_md5(challenge: str, user: str, password: str) -> str:
    """The answer of RFC 2831."""
    said = dict(re.findall(r'([a-z]+)="([^"]*)"', challenge))
    parts = said["nonce"], "00000001", "cnonce", "auth"
    key = hashlib.md5(f"{user}:{said['realm']}:{password}".encode()).digest()
    key = hashlib.md5(key + f":{said['nonce']}:cnonce".encode()).hexdigest().encode()
    uri = hashlib.md5(b"AUTHENTICATE:smtp/dialogue").hexdigest()
    response = hashlib.md5(key + f":{':'.join(parts)}:{uri}".encode()).hexdigest()
    return (
        f'username="{user}",realm="{said["realm"]}",nonce="{said["nonce"]}",cnonce="cnonce",nc=00000001,qop=auth,'
        f'digest-uri="smtp/dialogue",response={response}'
    )


def scram(challenge: str, first: str, password: str, hash_name: str = "sha256", end_point: bytes = b"") -> str:
    """The client-final of RFC 5802 that belongs to this client-first; `end_point` is what the channel is bound to."""
    nonce, salt, iterations = (part[2:] for part in challenge.split(","))
    header, bare = first.split("n=", 1)
    unproved = f"c={base64.b64encode(header.encode() + end_point).decode()},r={nonce}"
    salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    stored_key = hashlib.new(hash_name, client_key).digest()
    signature = hmac.digest(stored_key, f"n={bare},{challenge},{unproved}".encode(), hash_name)
    proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
    return f"{unproved},p={base64.b64encode(proof).decode()}"
