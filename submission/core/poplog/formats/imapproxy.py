"""up-imapproxy: `LOGIN: 'USER' (ADDRESS:PORT) on new sd [9]`, or `on existing sd`; before IPv6 without the port.

A proxy: its log has the clients' addresses, the server behind it logs the proxy's. A failure goes on with `failed:` and
the words of that server, which may repeat the user's; so a name with `) failed: ` in it is none.
"""

from submission.core.poplog.format import IP, Format, login

_BEGIN = rb"LOGIN: '(?P<user>(?!.*\) failed: ).+)' \("
_END = rb"\) on (?:new|existing) sd \[[0-9]{1,10}\]"

IMAPPROXY = Format(
    name="imapproxy",
    programs={b"in.imapproxyd": "imap", b"imapproxyd": "imap"},
    logins=(
        login(_BEGIN, IP, rb":[0-9]{1,5}", _END),
        login(_BEGIN, rb"(?P<ip>[0-9.]{7,15})", _END),
    ),
)
