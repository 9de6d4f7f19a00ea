"""GNU Mailutils' pop3d and imap4d, where inetd starts them by way of tcpd.

``user `USER' logged in`` has no address. tcpd's `connect from NAME (ADDRESS)` of the same process has it; pop3d logs a
login twice. A server that runs by itself logs addresses under its own process number and logins under a child's:
they can't be joined, and nothing counts.
"""

import re

from submission.core.poplog.format import USER, Event, Format, Step, login
from submission.core.poplog.formats.popa3d import TCPD

MAILUTILS = Format(
    name="mailutils",
    programs={b"pop3d": "pop3", b"imap4d": "imap"},
    steps=(
        TCPD,
        Step(Event.LOGIN, login(rb"POP3 login: user `", USER, rb"', source [a-z0-9_-]{1,64}")),
        Step(
            Event.LOGIN,
            login(
                rb"[Uu]ser [`']",
                USER,
                rb"' logged in with mailbox [`'][^`]{1,512}'(?: \([0-9]{1,10} (?:messages?|msgs)\))?",
            ),
        ),
        Step(Event.LOGIN, login(rb"user `", USER, rb"' logged in \(source: [a-z0-9_-]{1,64}\)")),
        Step(Event.CLOSE, re.compile(rb"session (?:ended|terminating)(?: for user: .*)?", re.DOTALL)),
    ),
    executables=frozenset({"pop3d", "imap4d", "tcpd"}),
    becomes_user=True,
)
