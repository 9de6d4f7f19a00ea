"""XMail's POP3 log: columns in quotes, apart by tabs: server, domain, address, time, user, password, what, size.

`LOGIN` in the seventh column is a login, `ELOGIN` a failed one. No column holds a quote or a tab.
"""

import re

from submission.core.poplog.format import IP, Format

_COLUMN = rb'"[^"\t]{0,255}"\t'

XMAIL = Format(
    name="xmail",
    programs={b"": "pop3"},
    lines=(
        re.compile(
            _COLUMN
            + rb'"(?P<domain>[0-9A-Za-z._-]{0,255})"\t"'
            + IP
            + rb'"\t"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}"\t"(?P<user>[^"\t]{1,255})"\t'
            + _COLUMN
            + rb'"LOGIN"\t"[^"\t]{0,255}"'
        ),
    ),
)
