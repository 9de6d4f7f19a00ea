"""Cyrus imapd, 2.0 to 3.10.

`login: [NAME ][ADDRESS] USER MECHANISM[+TLS] User logged in[ SESSIONID=<...>]`; 2.0 ends after the mechanism and has no
blank before the bracket. Failures begin with `badlogin:`. The address comes first, after the name that DNS gives it:
where it is looked for from the left, no user's name can shift it. Most resolvers refuse names with a bracket in them;
for the others, a line with a second address in brackets before what may be a user is refused.

`login: ... anonymous PASSWORD` is the same line of a guest's (imapd.c, cmd_login), its end chosen by him: reader.py
refuses his name. sieve, http, nntp and lmtp write logins too; only the names of POP and IMAP services count. rsyslog's
RFC 5424 template cuts `cyrus/pop3` to `cyrus`: then nothing tells them apart, and nothing counts.
"""

from submission.core.poplog.format import HOST, IP, Format, login

_SERVICES = {"pop3": "pop3", "pop3s": "pop3", "pop3d": "pop3", "imap": "imap", "imaps": "imap", "imapd": "imap"}

_MECHANISM = rb"(?:plaintext|[A-Z0-9_-]{1,32})(?:\+TLS)?"
_ANOTHER_ADDRESS = rb"\[[0-9A-Fa-f.:]{2,45}\] (?!" + _MECHANISM + rb" User logged in)[^ ]+ "
"""Before a user's name: then what is taken for the address may belong to the name of the host."""

CYRUS = Format(
    name="cyrus",
    programs={
        f"{prefix}{service}".encode(): "imap" if protocol == "imap" else "pop3"
        for prefix in ("", "cyrus/", "cyrus-imapd/", "master/")
        for service, protocol in _SERVICES.items()
    },
    logins=(
        login(
            rb"login: (?:" + HOST + rb" ?)?\[" + IP + rb"\] ",
            rb"(?P<user>(?:(?!" + _ANOTHER_ADDRESS + rb").)+)",
            rb" (?!ANONYMOUS)" + _MECHANISM,
            rb"(?: User logged in(?: SESSIONID=<[^<>\s]{1,255}>)?)?",
        ),
    ),
    executables=frozenset({"pop3d", "imapd", "proxyd", "pop3proxyd"}),
)
