"""XOAUTH2, Google's forerunner of OAUTHBEARER: `user=NAME ^A auth=Bearer TOKEN ^A ^A`, without the blanks.

https://developers.google.com/workspace/gmail/imap/xoauth2-protocol is all the specification there is. Programs that
were written for two large providers know it alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from submission.core.sasl import Channel
from submission.core.sasl.bearer import TOKEN, BearerMechanism, Credentials
from submission.core.sasl.decoding import decode_name

_MESSAGE = re.compile(rb"user=(?P<user>[^\x00-\x1f\x7f]*)\x01auth=%b\x01\x01" % TOKEN)


class Xoauth2Mechanism(BearerMechanism):
    """One XOAUTH2 exchange."""

    NAME: ClassVar[str] = "XOAUTH2"

    @staticmethod
    def parse(message: bytes) -> Credentials | None:
        """The user and the token."""
        match = _MESSAGE.fullmatch(message)
        name = decode_name(match["user"]) if match and match["user"] else ""
        if match is None or name is None:
            return None
        return Credentials(name, match["token"].decode("ascii"))

    @staticmethod
    def refusal(channel: Channel) -> Mapping[str, str]:
        """As Google's servers have it, whose status is HTTP's."""
        return {"status": "401", "schemes": "Bearer"} | ({"scope": channel.scope} if channel.scope else {})
