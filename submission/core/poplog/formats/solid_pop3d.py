"""solid-pop3d, 0.14 and 0.15: `user USER authenticated - ADDRESS`, or `- NAME (ADDRESS)`.

Built without --enable-logextend it ends with `authenticated`, and the address stands on the line before, `connect from
ADDRESS`, of the same process. Failures begin with `authentication failed:` or `can't find`.
"""

import re

from submission.core.poplog.format import HOST, IP, USER, Event, Format, Step, login

SOLID_POP3D = Format(
    name="solid-pop3d",
    programs={b"solid-pop3d": "pop3", b"spop3d": "pop3"},
    logins=(
        login(rb"user ", USER, rb" authenticated - ", IP),
        login(rb"user ", USER, rb" authenticated - ", HOST, rb" \(", IP, rb"\)"),
    ),
    steps=(
        Step(Event.OPEN, re.compile(rb"connect from " + IP)),
        Step(Event.LOGIN, login(rb"user ", USER, rb" authenticated")),
        Step(Event.CLOSE, login(rb"(?:session ended for user|authentication failed:) .*")),
    ),
    becomes_user=True,
)
