"""XCLIENT: telling a relay that offers it (Postfix) who our client is.

    XCLIENT ADDR=203.0.113.5 NAME=[UNAVAILABLE] HELO=laptop LOGIN=alice@example.com

What a command leaves out stays as the command before set it, and connections outlive clients. So every attribute that
we ever name is in every command, `[UNAVAILABLE]` where there is nothing to say.
"""

from __future__ import annotations

from typing import NamedTuple

from submission.core.addresses import encode_xtext

_UNAVAILABLE = b"[UNAVAILABLE]"


class Client(NamedTuple):
    """Who sends: `login` is "user@realm", `address` an IP address.

    `is_hidden` where only the login is the relay's business, for it would write the rest into the message.
    """

    login: str
    address: str = ""
    hello: str = ""
    is_hidden: bool = True

    def encode(self, offered: str) -> bytes:
        """The command, without CRLF; `offered` are the attributes that the relay's EHLO names.

        Empty where it names none that we would tell it.
        """
        address = f"IPV6:{self.address}" if ":" in self.address else self.address
        values = {"LOGIN": self.login}
        if not self.is_hidden:
            values |= {"ADDR": address, "NAME": "", "HELO": self.hello}
        known = offered.upper().split()
        pairs = [
            name.encode() + b"=" + (encode_xtext(value) if value else _UNAVAILABLE)
            for name, value in values.items()
            if name in known
        ]
        return b" ".join((b"XCLIENT", *pairs)) if pairs else b""
