"""solid-pop3d, 0.14 and 0.15: `user USER authenticated - ADDRESS`, or `- NAME (ADDRESS)`.

`mapped user` is one of another name to the system; `authenticated through APOP` tells how. Built without
--enable-logextend it ends before the dash, and the address stands on the line before, `connect from ADDRESS` or `NAME
(ADDRESS)`, of the same process. Failures begin with `authentication failed` or `can't find`.
"""

import re

from submission.core.poplog.format import HOST, IP, USER, Event, Format, Step, login
from submission.core.poplog.formats.popa3d import TCPD

_LOGIN = (rb"(?:mapped )?user ", USER, rb" authenticated(?: through APOP)?")

SOLID_POP3D = Format(
    name="solid-pop3d",
    programs={b"solid-pop3d": "pop3", b"spop3d": "pop3"},
    logins=(
        login(*_LOGIN, rb" - ", IP),
        login(*_LOGIN, rb" - ", HOST, rb" \(", IP, rb"\)"),
    ),
    steps=(
        Step(Event.OPEN, re.compile(rb"connect from " + IP)),
        TCPD,
        Step(Event.LOGIN, login(*_LOGIN)),
        Step(Event.CLOSE, login(rb"(?:session ended for|(?:APOP )?authentication failed).*")),
    ),
    becomes_user=True,
)
