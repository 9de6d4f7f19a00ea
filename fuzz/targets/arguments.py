"""What follows MAIL and RCPT: what goes on to the relay is one line without controls, which is read again as the same.

The input's first octet chooses the command and what was offered; nothing that wasn't is let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fuzz.input import Input
from fuzz.timing import bounded
from submission.core import parameters
from submission.core.addresses import MAX_PATH, encode_xtext
from submission.core.arguments import parse_recipient, parse_sender
from submission.core.policy import is_rewritten
from submission.core.replies import Reply

_OFFERED: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset(("SIZE", "8BITMIME", "AUTH", "DSN", "SMTPUTF8", "DELIVERBY")),
)
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f]")
_XTEXT = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")


def seeds() -> Iterator[bytes]:
    """Senders and recipients of every kind, with the parameters that there are."""
    for choice in range(2):
        for path in (
            b"<alice@example.com>",
            b"<>",
            b" <postmaster>",
            b'<"quoted \\" local"@example.com>',
            b"<b\xc3\xbccher@b\xc3\xbccher.example>",
            b"<alice@[192.0.2.1]>",
            b"<alice@[IPv6:2001:db8::1]>",
            b"<@relay.example:alice@example.com>",
            b"<alice%example.net@example.com>",
            b"<a!b@example.com>",
            b"<alice@example.com.>",
        ):
            yield bytes([choice]) + b"FROM:" + path + b" SIZE=10 BODY=8BITMIME AUTH=<> RET=HDRS ENVID=x+2By SMTPUTF8"
            yield bytes([choice + 2]) + b"TO:" + path + b" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.net"


def check(data: bytes) -> None:
    """Parse an argument, and what it would be sent on as."""
    choice = Input(data)
    is_recipient, is_extended = divmod(choice.number(4), 2)
    offered = _OFFERED[is_extended]
    parse, prefix = (parse_recipient, b"TO:<") if is_recipient else (parse_sender, b"FROM:<")
    argument = choice.rest.replace(b"\n", b" ")  # which no line holds
    with bounded():
        parsed = parse(argument, offered)
    if isinstance(parsed, Reply):
        return
    mailbox, values = parsed
    sent = prefix + mailbox.text + b">" + parameters.encode(values)
    assert parse(sent, offered) == parsed
    assert not _CONTROLS.search(sent.decode("utf-8")), sent
    assert len(mailbox.text) + 2 <= MAX_PATH
    assert mailbox.is_ascii or "SMTPUTF8" in offered
    assert offered or not values, "a parameter that was not offered"
    assert not is_recipient or mailbox.text, "a recipient of no name"
    assert mailbox.text.startswith(mailbox.local)
    assert mailbox.text.endswith(mailbox.domain)
    is_rewritten(mailbox)
    assert _XTEXT.fullmatch(encode_xtext(str(mailbox)))
