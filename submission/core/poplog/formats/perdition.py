"""perdition, a proxy: its log has the clients' addresses, the logs of the servers behind it have perdition's.

`Auth: ADDRESS:PORT->OURS:PORT client-secure=... authorisation_id=... authentication_id="USER" server="..."
protocol=POP3 server-secure=... status="ok"`; 1.x has no ports and fewer fields. The address comes first. Whether it is
a login is said by the last field: of a failure it is `status="failed: ..."`. When it is told to log passwords, one
stands behind the name, and is none of it.
"""

from submission.core.poplog.format import IP, USER, Format, login

_NAMES = {"pop3": "pop3", "pop3s": "pop3", "imap4": "imap", "imap4s": "imap", "imap": "imap", "imaps": "imap"}
_SECURE = rb"[a-z0-9_+-]{1,32}"

_PROTOCOL = rb"(?P<proto>POP3|IMAP4)S?"
_AUTH = rb"Auth: \[?" + IP + rb"\]?:[0-9]{1,5}->\[?[0-9A-Fa-f.:]{2,45}\]?:[0-9]{1,5} "
_OLD = rb"Auth: (?P<ip>[0-9.]{7,15})->[0-9.]{7,15} "

PERDITION = Format(
    name="perdition",
    programs={b"perdition": None}
    | {f"perdition.{name}".encode(): "imap" if protocol == "imap" else "pop3" for name, protocol in _NAMES.items()},
    logins=(
        login(
            _AUTH,
            rb"client-secure=" + _SECURE + rb' authorisation_id=.{1,255} authentication_id="',
            rb'(?P<user>(?:(?!" passwd=").)+)"(?: passwd=".{0,255}")?',
            rb' server="[^"]{0,300}" protocol=' + _PROTOCOL + rb" server-secure=" + _SECURE + rb' status="ok"',
        ),
        login(_OLD, rb'user="', USER, rb'" server="[^"]{0,300}" port="(?P<proto>110|995|143|993)" status="ok"'),
    ),
    executables=frozenset({"perdition"}) | {f"perdition.{name}" for name in _NAMES},
)
