"""Courier's POP and IMAP servers, from courierpop3login of 2002 to 1.0.

`LOGIN, user=U, ip=[ADDRESS], port=[N], protocol=IMAP`; old ones end after the address, POP servers before the protocol.
New ones add `, starttls=1` or `, stls=1`.
`LOGIN FAILED`, `LOGOUT` and `DISCONNECTED` begin otherwise. The user's name is raw; what follows it is the server's.

One message begins with the user's name: `U: Permission denied`, of somebody who has authenticated and has no mailbox.
It can't end like a login. A name with line feeds in it, if Courier were made to accept one, would be logged as several
messages, for courierlogger takes them apart: no text can tell (docs/pop-before-smtp.md).
"""

from submission.core.poplog.format import IP, USER, Format, login

COURIER = Format(
    name="courier",
    programs={
        b"pop3d": "pop3",
        b"pop3d-ssl": "pop3",
        b"courierpop3login": "pop3",
        b"courierpop3d": "pop3",
        b"pop3login": "pop3",
        b"imapd": "imap",
        b"imapd-ssl": "imap",
        b"imaplogin": "imap",
        b"courierimapd": "imap",
    },
    logins=(
        login(
            rb"LOGIN, user=",
            USER,
            rb", ip=\[",
            IP,
            rb"\](?:, port=\[[0-9]{1,5}\])?(?:, protocol=(?:IMAP|POP3))?",
            rb"(?:, s(?:tart)?tls=1)?",
        ),
    ),
    executables=frozenset({"courierlogger", "imapd", "pop3d", "imaplogin", "pop3login", "courierpop3login"}),
    caution="a user whose name holds line feeds, if Courier is made to accept one, can forge a line",
)
