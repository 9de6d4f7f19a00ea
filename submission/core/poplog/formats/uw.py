"""The University of Washington's ipop3d and imapd, 2000 to 2007f.

From ipop3d.c and imapd.c: `Login user=%.80s host=%.80s nmsgs=%ld/%ld` with `APOP` and `Auth` for the other ways in,
and `Login user=%.80s host=%.80s`, `Authenticated user=%.80s host=%.80s mech=%.80s`. ipop3d says `no mailbox` instead
of the numbers where the mailbox can't be opened, `Admin Login` where an admin logs in for somebody. The host is `NAME
[ADDRESS]` or `[ADDRESS]`, cut at 80: then its bracket is missing and the line doesn't count. Failures have another
word between: `Login failed user=`, `Login disabled user=`, `Login excessive login failures user=`. Version 4 logs
names without addresses, which would have to be resolved, and aren't.
"""

from submission.core.poplog.format import HOST, IP, USER, Format, login

_HOST = rb" host=(?:" + HOST + rb" )?\[" + IP + rb"\]"

UW = Format(
    name="uw-imap",
    programs={
        b"ipop3d": "pop3",
        b"in.ipop3d": "pop3",
        b"pop3s": "pop3",
        b"imapd": "imap",
        b"in.imapd": "imap",
        b"imaps": "imap",
        b"ipop3sd": "pop3",
        b"imapsd": "imap",
    },
    logins=(
        login(rb"(?:(?:Admin )?Login|APOP|Auth) user=", USER, _HOST, rb" (?:nmsgs=[0-9]{1,10}/[0-9]{1,10}|no mailbox)"),
        login(rb"(?:Login|Authenticated) user=", USER, _HOST, rb"(?: mech=(?!ANONYMOUS)[A-Z0-9_-]{1,80})?"),
    ),
    executables=frozenset({"ipop3d", "in.ipop3d", "ipop3sd", "imapd", "in.imapd", "imapsd"}),
    becomes_user=True,
)
