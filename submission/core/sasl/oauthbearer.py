"""OAUTHBEARER (RFC 7628): `n,[a=authzid],` and key=value pairs, ^A behind each part; the pair `auth` holds a token.

An authorization identity has to be the token's user, or be left out. The other pairs that the RFC names, `host` and
`port`, say where the client believes to be, which the token's audience says better; they are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from submission.core.sasl import Channel
from submission.core.sasl.bearer import TOKEN, BearerMechanism, Credentials
from submission.core.sasl.decoding import decode_name

_MESSAGE = re.compile(
    rb"[ny],(?:a=(?P<authzid>(?:[^,=\x00-\x1f\x7f]|=2C|=3D)+))?,\x01"  # RFC 5801 section 4; p= would bind a channel
    rb"(?P<pairs>(?:[A-Za-z]+=[\t\n\r -~]*\x01)*)\x01"
)
_VALUE = re.compile(TOKEN)


class OauthBearerMechanism(BearerMechanism):
    """One OAUTHBEARER exchange."""

    NAME: ClassVar[str] = "OAUTHBEARER"

    @staticmethod
    def parse(message: bytes) -> Credentials | None:
        """The authorization identity, and the token of the one pair `auth` (RFC 7628 section 3.1)."""
        match = _MESSAGE.fullmatch(message)
        if match is None:
            return None
        values = [pair[len(b"auth=") :] for pair in match["pairs"].split(b"\x01") if pair.startswith(b"auth=")]
        value = _VALUE.fullmatch(values[0]) if len(values) == 1 else None
        authzid = match["authzid"]
        name = decode_name(authzid.replace(b"=2C", b",").replace(b"=3D", b"=")) if authzid else ""
        if value is None or name is None:
            return None
        return Credentials(name, value["token"].decode("ascii"))

    @staticmethod
    def refusal(channel: Channel) -> Mapping[str, str]:
        """As RFC 7628 section 3.2.2 has it."""
        told = {"scope": channel.scope, "openid-configuration": channel.openid_configuration}
        return {"status": "invalid_token"} | {key: value for key, value in told.items() if value}
