"""The dialogue with a client, line by line in the log, for whoever wants to know why a mail program can't send.

    event=dialogue session=4152f9124046 line="C: AUTH PLAIN ****"
    event=dialogue session=4152f9124046 line="S: 235 2.7.0 Authentication successful"

What may be secret is not shown. Of AUTH that is all but the mechanism's name, and all that either side says after a
334: even a challenge may be enough, with the rest of an exchange, to try passwords on. Of a message it is everything
but the number of its octets. Clients that lost track send both in the place of commands, so only what looks like a
command is shown of these.
"""

from __future__ import annotations

import asyncio
import re

from submission import logs
from submission.core.sasl.registry import MECHANISMS
from submission.smtp.stream import HIGH_WATER, BadLineError, ClientStream

STARS = b"****"

_PARAMETERS = rb"(?: [A-Z0-9-]+(?:=[!-~\x80-\xff]*)?)*"
_COMMAND = re.compile(
    rb"(?:(?:EHLO|HELO) [!-~\x80-\xff]+"
    rb"|(?:MAIL FROM|RCPT TO): ?[!-~\x80-\xff]+" + _PARAMETERS + rb"|BDAT [0-9]+(?: LAST)?"
    rb"|STARTTLS|DATA|RSET|NOOP|HELP|QUIT) ?",
    re.IGNORECASE,
)
_AUTH = re.compile(rb"(AUTH) +([A-Z0-9-]+)( .*)?", re.IGNORECASE)


class ShownStream(ClientStream):
    """A client's octets, with what they are in the log."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, timeout: float, session: str
    ) -> None:
        super().__init__(loop, transport, timeout)
        self._session = session
        self._is_exchange = False  # whether the client's next line answers a 334
        self._octets = 0  # of a message, not yet told of

    def take_line(self, limit: int) -> bytes | None:
        """Show the line, if one is taken."""
        self._tell_octets()
        try:
            line = super().take_line(limit)
        except BadLineError as error:
            self._show(b"C: " + STARS + f" ({error})".encode())
            raise
        if line is not None:
            self._show(b"C: " + (_starred_response(line) if self._is_exchange else _starred_command(line)))
        return line

    async def chunk(self, limit: int = HIGH_WATER * 2) -> bytes:
        """Count the octets."""
        octets = await super().chunk(limit)
        self._octets += len(octets)
        return octets

    def give_back(self, data: bytes) -> None:
        """Count fewer octets."""
        self._octets -= len(data)
        super().give_back(data)

    def write(self, data: bytes) -> None:
        """Show the reply, a line at a time."""
        self._tell_octets()
        self._is_exchange = data.startswith(b"334 ")
        for line in data.splitlines():
            self._show(b"S: " + (b"334 " + STARS if self._is_exchange else line))
        super().write(data)

    def _tell_octets(self) -> None:
        if self._octets:
            self._show(b"C: " + STARS + f" ({self._octets} octets)".encode())
            self._octets = 0

    def _show(self, line: bytes) -> None:
        logs.event("dialogue", session=self._session, line=line)


def _starred_command(line: bytes) -> bytes:
    if _COMMAND.fullmatch(line):
        return line
    auth = _AUTH.fullmatch(line)
    if auth and auth[2].decode().upper() in MECHANISMS:
        return auth[1] + b" " + auth[2] + (b" " + STARS if auth[3] else b"")
    return STARS


def _starred_response(line: bytes) -> bytes:
    return line if line == b"*" else STARS
