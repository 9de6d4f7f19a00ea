"""popa3d: `Session from ADDRESS`, then `Authentication passed for USER` of the same process.

Started by inetd it leaves the address to tcpd: `connect from NAME (ADDRESS)`. It exits after a failure.

A patch adds ` -- [ADDRESS]` to the line itself. That is a format of its own: where popa3d is not patched, a user's name
could end like that.
"""

import re

from submission.core.poplog.format import HOST, IP, USER, Event, Format, Step, login

TCPD = Step(Event.OPEN, re.compile(rb"connect from (?:" + HOST + rb"|[0-9A-Fa-f.:]{2,45}) \(" + IP + rb"\)"))
"""tcpd before any server of inetd's: the name that DNS gives, or the address again, then the address."""

POPA3D = Format(
    name="popa3d",
    programs={b"popa3d": "pop3"},
    steps=(
        Step(Event.OPEN, re.compile(rb"Session from " + IP)),
        TCPD,
        Step(Event.LOGIN, login(rb"Authentication passed for ", USER)),
        Step(Event.CLOSE, login(rb"Authentication failed for .*")),
    ),
    executables=frozenset({"popa3d", "tcpd"}),
    becomes_user=True,
)

POPA3D_PATCHED = Format(
    name="popa3d-patched",
    programs={b"popa3d": "pop3"},
    logins=(login(rb"Authentication passed for ", USER, rb" -- \[", IP, rb"\]"),),
    executables=frozenset({"popa3d"}),
    becomes_user=True,
    caution="only for popa3d with that patch; without it, a user's name could end like its lines",
)
