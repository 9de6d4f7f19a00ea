"""SMTP replies as values: every reply that we make has its name here.

A reply is a three-digit code and one or more lines of text (RFC 5321 section 4.2). The enhanced status code
(RFC 3463) is the first word of the text; its class digit is the first digit of the code, so `_own` derives it and
the two cannot disagree. Replies of the relay are parsed elsewhere and pass through as they came; only an enhanced code
that is missing is added, for we offer them.

The texts are for a person who reads a mail client's error box. No module names, no configuration, no exception
text, nothing that the peer sent unquoted.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime
from typing import NamedTuple

_STATUS = re.compile(rb"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")

MAX_TEXT = 400
"""Octets of text on a line of ours; RFC 5321 section 4.5.3.1.5 allows 512 with code and CRLF."""


class Reply(NamedTuple):
    """One reply: `lines` hold the text after code and separator, enhanced status code included, without CRLF."""

    code: int
    lines: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The octets on the wire: `250-first CRLF 250 last CRLF`."""
        if len(self.lines) == 1:  # nearly all of them
            return b"%d %b\r\n" % (self.code, self.lines[0])
        code = b"%d" % self.code
        last = len(self.lines) - 1
        return b"".join(
            code + (b" " if number == last else b"-") + line + b"\r\n" for number, line in enumerate(self.lines)
        )

    @property
    def is_positive(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.code < 300

    @functools.lru_cache(maxsize=256)  # noqa: B019 - a reply is a value, and the relay's come again and again
    def with_status(self) -> Reply:
        """The same with an enhanced status code on every line, as who was offered them expects (RFC 2034 section 4).

        A line that has none gets the first line's, or `x.0.0`, which says no more than the code does.
        """
        found = [*map(_STATUS.match, self.lines)]
        if None not in found or not 200 <= self.code < 600 or 300 <= self.code < 400:
            return self
        status = found[0][1] + b" " if found[0] else b"%d.0.0 " % (self.code // 100)
        return Reply(
            self.code, tuple(line if match else status + line for match, line in zip(found, self.lines, strict=True))
        )

    @property
    def text(self) -> str:
        """Code and text in one line, for a log."""
        return f"{self.code} " + b" ".join(self.lines).decode("utf-8", "replace")


def own(code: int, detail: str, *texts: str) -> Reply:
    """A reply of ours with an enhanced status code: `own(250, "1.0", "Sender ok")` reads `250 2.1.0 Sender ok`.

    `detail` is subject and detail of RFC 3463, without the class, which is the first digit of `code`.
    """
    status = f"{code // 100}.{detail} "
    return Reply(code, tuple((status + text).encode("ascii", "replace")[:MAX_TEXT] for text in texts))


# Greetings and goodbyes
BYE = own(221, "0.0", "Bye")
SHUTTING_DOWN = own(421, "3.2", "Service shutting down, please try again in a moment")
OVERLOADED = own(421, "3.2", "Too many connections, please try again later")
IDLE = own(421, "4.2", "Nothing heard for too long, closing the connection")
TOO_MANY_ERRORS = own(421, "7.0", "Too many errors, closing the connection")
TOO_MANY_AUTH_FAILURES = own(421, "7.0", "Too many failed logins, closing the connection")
WRONG_PROTOCOL = own(421, "5.1", "This is an SMTP server, closing the connection")

# Commands
OK = own(250, "0.0", "OK")
HELP = own(214, "0.0", "Submission service: EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, BDAT, RSET, NOOP, VRFY, QUIT")
CANNOT_VERIFY = own(252, "5.0", "Cannot verify the address, but will take mail for it")
SYNTAX_ERROR = own(500, "5.2", "Syntax error, command not understood")
NOT_CRLF = own(500, "5.2", "A command ends with CR LF and holds no other control characters")
LINE_TOO_LONG = own(500, "5.2", "Command line too long")
UNKNOWN_COMMAND = own(500, "5.1", "Command not recognized")
NOT_IMPLEMENTED = own(502, "5.1", "Command not implemented")
BAD_ARGUMENT = own(501, "5.4", "An argument is missing or malformed")
NO_ARGUMENTS = own(501, "5.4", "This command takes no argument")
HELLO_NEEDS_NAME = own(501, "5.4", "A host name or address literal must follow EHLO or HELO")
HELLO_FIRST = own(503, "5.1", "Say EHLO first")
BAD_PATH = own(501, "1.3", "An address in angle brackets is expected, such as <user@example.com>")
BAD_SENDER = own(501, "1.7", "Syntax error in MAIL FROM:<address>")
BAD_RECIPIENT = own(501, "1.3", "Syntax error in RCPT TO:<address>")
BAD_PARAMETERS = own(501, "5.4", "Syntax error in the parameters")
UNKNOWN_PARAMETER = own(555, "5.4", "Parameter not recognized or not offered")
NON_ASCII_ADDRESS = own(553, "6.7", "Addresses outside ASCII are not supported by this service")
MAIL_IN_PROGRESS = own(503, "5.1", "A sender was already given, RSET starts again")
MAIL_FIRST = own(503, "5.1", "MAIL comes before this command")
RECIPIENT_FIRST = own(503, "5.1", "A valid RCPT comes before this command")
CHUNKS_FIRST = own(503, "5.1", "The message has begun: BDAT LAST ends it, RSET gives it up")
BAD_CHUNK = own(501, "5.4", "A size in octets must follow BDAT, and LAST behind the last")
REWRITTEN_RECIPIENT = own(553, "1.3", "An address with %, !, quotes or a second @ before its domain is not taken here")
NO_VALID_RECIPIENTS = own(554, "5.1", "No valid recipients")
RELAYING_DENIED = own(550, "7.1", "Relaying denied, authentication is required")
TOO_MANY_RECIPIENTS = own(452, "5.3", "Too many recipients")

# TLS and AUTH (RFC 3207, RFC 4954)
TLS_READY = own(220, "0.0", "Ready to start TLS")
TLS_ALREADY = own(503, "5.1", "TLS is already active")
TLS_NOT_OFFERED = own(502, "5.1", "STARTTLS is not offered here")
TLS_NOT_NOW = own(503, "5.1", "STARTTLS is not permitted during a mail transaction")
TLS_PIPELINED = own(501, "5.1", "Nothing may be sent behind STARTTLS before the handshake")
TLS_REQUIRED = own(530, "7.0", "Must issue a STARTTLS command first")
ENCRYPTION_REQUIRED = own(538, "7.11", "Encryption required for the requested authentication mechanism")
AUTH_REQUIRED = own(530, "7.0", "Authentication required")
AUTH_OK = own(235, "7.0", "Authentication successful")
AUTH_FAILED = own(535, "7.8", "Authentication credentials invalid")
AUTH_UNAVAILABLE = own(454, "7.0", "Temporary authentication failure, please try again later")
AUTH_ABORTED = own(501, "7.0", "Authentication aborted")
AUTH_ALREADY = own(503, "5.1", "Already authenticated")
AUTH_NOT_NOW = own(503, "5.1", "AUTH is not permitted during a mail transaction")
AUTH_UNKNOWN_MECHANISM = own(504, "5.4", "Authentication mechanism not offered")
AUTH_NEEDS_MECHANISM = own(501, "5.4", "An authentication mechanism must follow AUTH")
AUTH_BAD_BASE64 = own(501, "5.2", "Cannot decode the response as base64")
AUTH_LINE_TOO_LONG = own(500, "5.6", "Authentication exchange line is too long")

# Messages
MESSAGE_TOO_BIG = own(552, "3.4", "Message exceeds the maximum size")
BARE_LINE_ENDINGS = own(554, "6.0", "Message refused: it holds a CR or LF that is not part of CR LF, or a NUL")
BAD_FROM = own(554, "6.0", "Message refused: its header must be well formed, with one From that names its author")
HEADER_TOO_LARGE = own(552, "3.4", "Message refused: its header is larger than this service can judge")
IN_LOOP = own(554, "4.6", "Message refused: it went through too many hosts, it is in a loop")
HOLDS_PASSWORD = own(554, "7.1", "Message refused: it holds the password that you logged in with, give that to nobody")
LINES_TOO_LONG = own(554, "6.0", "Message refused: it holds a line longer than this service takes")
GIVEN_UP = own(451, "0.0", "The client gave the message up")  # for the log: there is nobody to tell

# The relay, where it gives no reply of its own
RELAY_UNREACHABLE = own(451, "4.1", "The mail system is not answering, please try again later")
RELAY_LOST = own(451, "4.2", "The connection to the mail system was lost, please try again later")
SUSPENDED = own(550, "7.1", "This account is suspended, ask whoever runs this service")
LIMITS_UNAVAILABLE = own(451, "3.0", "What you may send can't be checked now, please try again later")
INTERNAL_ERROR = own(451, "3.0", "Internal error, please try again later")


def greeting(hostname: str) -> Reply:
    """The banner: the host name comes first (RFC 5321 section 4.3.1), so no enhanced code may."""
    return Reply(220, (f"{hostname} ESMTP submission service ready".encode("ascii", "replace"),))


def hello(hostname: str, *extensions: str) -> Reply:
    """The reply to EHLO, a keyword a line (RFC 5321 section 4.1.1.1); without extensions, to HELO."""
    return Reply(250, tuple(line.encode("ascii", "replace") for line in (hostname, *extensions)))


def chunk_taken(size: int) -> Reply:
    """The reply to a chunk behind which others come (RFC 3030 section 2)."""
    return own(250, "0.0", f"{size} octets received")


def limit_reached(limit: str, until: datetime) -> Reply:
    """A user, or an address, may send no more by a limit such as `100 messages per hour`, until then, in UTC."""
    return own(450, "7.1", f"Limit of {limit} reached, try again after {until:%Y-%m-%d %H:%M} UTC")


def too_many_connections(most: int) -> Reply:
    """A user has as many connections already as there may be at once."""
    return own(450, "7.1", f"Limit of {most} connections at once reached, close one and try again")


def challenge(data: bytes) -> Reply:
    """`334 base64` of an AUTH exchange (RFC 4954 section 4); `data` is already base64."""
    return Reply(334, (data,))
