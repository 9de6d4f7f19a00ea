"""Apple Mail Service of Mac OS X Server 10.2: `IMAP User "U" log on successful from ADDRESS`, the year in the time."""

from submission.core.poplog.format import IP, USER, Format, login

APPLE = Format(
    name="apple",
    programs={b"": None},
    lines=(
        login(
            rb"[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{4} [0-9:]{8} [0-9] (?P<proto>IMAP|POP3?)",
            rb' User "',
            USER,
            rb'" log on successful from ',
            IP,
        ),
    ),
)
