"""up-imapproxy: `LOGIN: 'USER' (ADDRESS:PORT) on new sd [9]`, or `on existing sd`.

A proxy: its log has the clients' addresses, the server behind it logs the proxy's. A failure goes on with `failed:` and
the words of that server, which may repeat the user's; so a name with `) failed: ` in it is none.
"""

from submission.core.poplog.format import IP, Format, login

IMAPPROXY = Format(
    name="imapproxy",
    programs={b"in.imapproxyd": "imap", b"imapproxyd": "imap"},
    logins=(
        login(
            rb"LOGIN: '(?P<user>(?!.*\) failed: ).+)' \(", IP, rb":[0-9]{1,5}\) on (?:new|existing) sd \[[0-9]{1,10}\]"
        ),
    ),
)
