"""SCRAM-SHA-256, SCRAM-SHA-1 and their -PLUS variants (RFC 5802, RFC 7677): both sides prove that they know a password.

    client-first    gs2-header n=name,r=nonce
    server-first    r=nonce and ours,s=salt,i=iterations
    client-final    c=base64(gs2-header and channel binding),r=nonces,p=proof
    server-final    v=signature                     answered by nothing, for SMTP's replies carry no data

The password doesn't travel, and what the store keeps (scram_keys.py) is of no use to log in with. A login without keys
is given some that nobody has the password of, so it looks like any other.

The gs2-header says how the client stands to channel binding, which ties the exchange to this very TLS connection, so
that nobody in the middle can pass it on: `p=tls-server-end-point` binds it to our certificate (RFC 5929 section 4), `n`
can't, and `y` could but thinks that we can't. Where we had offered it, somebody has tampered with our offer. Other
bindings are refused: tls-unique means nothing under TLS 1.3, and tls-exporter (RFC 9266) is not to be had from Python.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from enum import Enum, auto
from typing import ClassVar

from submission.core.sasl import (
    AUTHZID_REFUSED,
    BAD_CREDENTIALS,
    BINDING_REFUSED,
    MALFORMED,
    Answer,
    Challenge,
    Channel,
    Failure,
    FetchKeys,
    Need,
    Step,
    Success,
)
from submission.core.sasl.decoding import decode_base64, decode_name
from submission.core.sasl.scram_keys import HASHES, ScramKeys

PLUS = "-PLUS"
"""What the name of a mechanism ends in that binds the channel (RFC 5801 section 3.1)."""

_BINDING = b"tls-server-end-point"
_NONCE = rb"(?P<nonce>[!-+\--~]{1,1024})"  # printable ASCII without the comma
_EXTENSIONS = rb"(?:,(?![mp]=)[A-Za-z]=[^\0,]{1,512}){0,8}"  # ignored; "m=" is one that must not be
_FIRST = re.compile(
    rb"(?P<header>(?P<flag>n|y|p=[A-Za-z0-9.-]{1,64}),(?:a=(?P<authzid>[^,]{1,1536}))?,)"
    rb"(?P<bare>n=(?P<name>[^,]{1,1536}),r=" + _NONCE + _EXTENSIONS + rb")"
)
_FINAL = re.compile(
    rb"(?P<unproved>c=(?P<binding>[A-Za-z0-9+/=]{1,4096}),r=" + _NONCE + _EXTENSIONS + rb")"
    rb",p=(?P<proof>[A-Za-z0-9+/=]{1,64})"
)
_NAME = re.compile(rb"(?:[^=]|=2C|=3D)*")


class _Phase(Enum):
    """What comes next."""

    FIRST = auto()
    KEYS = auto()
    FINAL = auto()
    ACKNOWLEDGEMENT = auto()
    NOTHING = auto()


class ScramMechanism:
    """One exchange. Each mechanism is a class below, which says its name and what keys it needs."""

    NAME: ClassVar[str]
    SENDS_PASSWORD: ClassVar[bool] = False
    NEED: ClassVar[Need]

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._hash = HASHES[self.NEED]
        self._phase = _Phase.FIRST
        self._name = ""
        self._bound = b""  # what the client has to repeat: its gs2-header, and the channel binding
        self._nonce = b""
        self._said = b""  # AuthMessage, as far as it was said
        self._keys = ScramKeys(b"", 0, b"", b"")

    def start(self, initial: bytes | None) -> Step:
        """Take client-first, or ask for it with an empty challenge (RFC 4422 section 5)."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, data: bytes) -> Step:
        """Take the client's next message."""
        phase, self._phase = self._phase, _Phase.NOTHING
        match phase:
            case _Phase.FIRST:
                return self._take_first(data)
            case _Phase.FINAL:
                return self._take_final(data)
            case _Phase.ACKNOWLEDGEMENT if not data:
                return Success(self._name)
        return Failure(MALFORMED, self._name)

    def resolve(self, answer: Answer) -> Step:
        """Say server-first, with the salt of the login's keys."""
        phase, self._phase = self._phase, _Phase.NOTHING
        if phase is not _Phase.KEYS or not isinstance(answer, ScramKeys):
            return Failure(MALFORMED, self._name)
        salt = base64.b64encode(answer.salt)
        first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, answer.iterations)
        self._said += b"," + first
        self._keys = answer
        self._phase = _Phase.FINAL
        return Challenge(first)

    def _take_first(self, data: bytes) -> Step:
        match = _FIRST.fullmatch(data)
        name = None if match is None else _decode_saslname(match["name"])
        if match is None or name is None:
            return Failure(MALFORMED)
        self._name = name
        if match["authzid"] is not None and _decode_saslname(match["authzid"]) != name:
            return Failure(AUTHZID_REFUSED, name)
        bound = self._binding(match["flag"])
        if bound is None:
            return Failure(BINDING_REFUSED, name)
        self._bound = match["header"] + bound
        self._nonce = match["nonce"] + self._channel.nonce
        self._said = match["bare"]
        self._phase = _Phase.KEYS
        return FetchKeys(name, self.NEED)

    def _binding(self, flag: bytes) -> bytes | None:
        """The channel binding that the client's flag stands for, None where that is refused."""
        if self.NAME.endswith(PLUS):
            return self._channel.end_point if flag == b"p=" + _BINDING else None
        return b"" if flag == b"n" or (flag == b"y" and not self._channel.offers_binding) else None

    def _take_final(self, data: bytes) -> Step:
        match = _FINAL.fullmatch(data)
        proof = None if match is None else decode_base64(match["proof"])
        if match is None or proof is None or match["nonce"] != self._nonce:
            return Failure(MALFORMED, self._name)
        if match["binding"] != base64.b64encode(self._bound):
            return Failure(BINDING_REFUSED, self._name)
        said = self._said + b"," + match["unproved"]
        if not self._is_proof(proof, said):
            return Failure(BAD_CREDENTIALS, self._name)
        self._phase = _Phase.ACKNOWLEDGEMENT
        signature = hmac.digest(self._keys.server_key, said, self._hash)
        return Challenge(b"v=" + base64.b64encode(signature))

    def _is_proof(self, proof: bytes, said: bytes) -> bool:
        """Whether ClientKey comes out of it, which StoredKey is the hash of."""
        signature = hmac.digest(self._keys.stored_key, said, self._hash)
        if len(proof) != len(signature):
            return False
        client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        return hmac.compare_digest(hashlib.new(self._hash, client_key).digest(), self._keys.stored_key)


def _decode_saslname(data: bytes) -> str | None:
    """A name whose commas and equals signs are written =2C and =3D, or None where it is none."""
    if not _NAME.fullmatch(data):
        return None
    return decode_name(data.replace(b"=2C", b",").replace(b"=3D", b"="))


class ScramSha256Mechanism(ScramMechanism):
    """SCRAM-SHA-256 (RFC 7677)."""

    NAME: ClassVar[str] = "SCRAM-SHA-256"
    NEED: ClassVar[Need] = Need.SCRAM_SHA_256


class ScramSha256PlusMechanism(ScramSha256Mechanism):
    """SCRAM-SHA-256 over a channel that it is bound to."""

    NAME: ClassVar[str] = "SCRAM-SHA-256-PLUS"


class ScramSha1Mechanism(ScramMechanism):
    """SCRAM-SHA-1 (RFC 5802)."""

    NAME: ClassVar[str] = "SCRAM-SHA-1"
    NEED: ClassVar[Need] = Need.SCRAM_SHA_1


class ScramSha1PlusMechanism(ScramSha1Mechanism):
    """SCRAM-SHA-1 over a channel that it is bound to."""

    NAME: ClassVar[str] = "SCRAM-SHA-1-PLUS"
