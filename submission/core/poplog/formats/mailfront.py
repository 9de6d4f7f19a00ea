"""mailfront behind tcpserver, as multilog keeps them: a session is many lines with the same process number.

`tcpserver: pid N from ADDRESS`, `pop3front-auth[N]: USER U`, and when that program has given way to
`pop3front-maildir[N]: +OK`, the password was right. With another POP server behind it tcpserver's lines tell only of
connections, never of logins, so qmail-pop3d alone can't be followed. After AUTH nobody knows who logged in.
"""

import re

from submission.core.poplog.format import IP, Event, Format, Step

_NUMBER = rb"(?P<session>[0-9]{1,10})"

MAILFRONT = Format(
    name="mailfront",
    programs={b"": "pop3"},
    steps=(
        Step(Event.OPEN, re.compile(rb"tcpserver: pid " + _NUMBER + rb" from " + IP)),
        Step(
            Event.NAME,
            re.compile(rb"pop3front-auth\[" + _NUMBER + rb"\]: USER (?P<user>.+)", re.DOTALL | re.IGNORECASE),
        ),
        Step(Event.LOGIN, re.compile(rb"pop3front-maildir\[" + _NUMBER + rb"\]: \+OK")),
        Step(Event.CLOSE, re.compile(rb"pop3front-auth\[" + _NUMBER + rb"\]: AUTH .*", re.DOTALL | re.IGNORECASE)),
        Step(Event.CLOSE, re.compile(rb"tcpserver: (?:end|deny) " + _NUMBER + rb"(?: .*)?")),
    ),
)
