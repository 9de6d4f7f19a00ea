"""vm-pop3d: 1.1.7 logs `User 'U' logged in from ADDRESS, nmsgs=3`.

1.1.6 logs `Connect from ADDRESS`, then `User 'U' of 'DOMAIN' logged in` of the same process, which goes on after a
failure. After APOP it is `User U logged in with mailbox FILE`; names with quotes or blanks don't count there, for a
failure's line could look like that. Failures are `User 'U' - failed auth`; the end is `Session ended for user:`.
"""

import re

from submission.core.poplog.format import IP, USER, Event, Format, Step, login
from submission.core.poplog.formats.popa3d import TCPD

VM_POP3D = Format(
    name="vm-pop3d",
    programs={b"vm-pop3d": "pop3"},
    logins=(login(rb"User '", USER, rb"' logged in from ", IP, rb", nmsgs=[0-9]{1,10}"),),
    steps=(
        Step(Event.OPEN, re.compile(rb"Connect from " + IP)),
        TCPD,
        Step(Event.LOGIN, login(rb"User '", USER, rb"' of '(?P<domain>[^'\s]{1,255})' logged in")),
        Step(Event.LOGIN, login(rb"User '", USER, rb"' logged in")),
        Step(Event.LOGIN, re.compile(rb"User (?P<user>[^'\s]{1,255}) logged in with (?:shared )?mailbox /\S+")),
        Step(Event.CLOSE, login(rb"(?:Session ended for user: .*|Socket closed)")),
    ),
    executables=frozenset({"vm-pop3d", "tcpd"}),
    becomes_user=True,
)
