"""The mechanisms of this version, and the nonce that each is made with: `MECHANISMS["PLAIN"](channel)`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from submission.core.sasl import Mechanism
from submission.core.sasl.cram_md5 import CramMd5Mechanism
from submission.core.sasl.digest_md5 import DigestMd5Mechanism
from submission.core.sasl.external import ExternalMechanism
from submission.core.sasl.login import LoginMechanism
from submission.core.sasl.oauthbearer import OauthBearerMechanism
from submission.core.sasl.plain import PlainMechanism
from submission.core.sasl.scram import (
    PLUS,
    ScramSha1Mechanism,
    ScramSha1PlusMechanism,
    ScramSha256Mechanism,
    ScramSha256PlusMechanism,
)
from submission.core.sasl.xoauth2 import Xoauth2Mechanism

MECHANISMS: Mapping[str, type[Mechanism]] = MappingProxyType(
    {
        mechanism.NAME: mechanism
        for mechanism in (
            ScramSha256PlusMechanism,
            ScramSha256Mechanism,
            ScramSha1PlusMechanism,
            ScramSha1Mechanism,
            PlainMechanism,
            LoginMechanism,
            CramMd5Mechanism,
            DigestMd5Mechanism,
            ExternalMechanism,
            OauthBearerMechanism,
            Xoauth2Mechanism,
        )
    }
)
"""Name as in EHLO to class: by password, the best first, then by somebody else's word."""

USUAL = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5")
"""What is offered, in this order, unless the configuration says otherwise."""


def works_without_tls(name: str) -> bool:
    """Whether a mechanism sends no password or token, and stands neither on the channel nor on a certificate."""
    return not MECHANISMS[name].SENDS_PASSWORD and not name.endswith(PLUS) and name != ExternalMechanism.NAME


def make_nonce(random: bytes, now: float, hostname: str) -> bytes:
    """`unique.time@host`, what RFC 2195 section 2 puts between angle brackets.

    `random` is fresh and from a generator that nobody can foretell, 16 octets or more; `now` is the time in seconds
    since the epoch; `hostname` is ours, in ASCII.
    """
    return f"{random.hex()}.{int(now)}@{hostname}".encode("ascii")
