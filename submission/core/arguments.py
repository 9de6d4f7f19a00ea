"""What follows MAIL and RCPT: a path and its parameters (RFC 5321 sections 4.1.1.2 and 4.1.1.3).

Both are checked against what this session was offered: an address outside ASCII needs SMTPUTF8, a parameter the
extension that brings it.
"""

from __future__ import annotations

from collections.abc import Collection

from submission.core import addresses, parameters, replies
from submission.core.addresses import Mailbox
from submission.core.parameters import Parameters
from submission.core.replies import Reply


def parse_sender(argument: bytes, offered: Collection[str]) -> tuple[Mailbox, Parameters] | Reply:
    """`FROM:<path> parameters`, or the reply that refuses it. `<>` is the null sender."""
    return _parse(argument, b"FROM:", parameters.MAIL, offered, replies.BAD_SENDER)


def parse_recipient(argument: bytes, offered: Collection[str]) -> tuple[Mailbox, Parameters] | Reply:
    """`TO:<path> parameters`, or the reply that refuses it."""
    return _parse(argument, b"TO:", parameters.RCPT, offered, replies.BAD_RECIPIENT)


def _parse(
    argument: bytes, prefix: bytes, known: parameters.Known, offered: Collection[str], malformed: Reply
) -> tuple[Mailbox, Parameters] | Reply:
    split = addresses.split_path(argument, prefix)
    if split is None:
        return malformed
    path, rest = split
    is_null = not path and known is parameters.MAIL
    mailbox = addresses.NULL if is_null else addresses.parse_mailbox(path)
    if mailbox is None:
        return replies.BAD_PATH
    if not mailbox.is_ascii and "SMTPUTF8" not in offered:
        return replies.NON_ASCII_ADDRESS
    values = parameters.parse(rest, known, offered)
    return values if isinstance(values, Reply) else (mailbox, values)
