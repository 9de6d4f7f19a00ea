"""vpopmail's vchkpw, behind qmail-pop3d and Courier: `vchkpw-pop3: (PLAIN) login success USER@DOMAIN:ADDRESS`.

The service is the first word's end: `smtp`, `submission` and `webmail` prove a password too, but not to a mailbox, and
don't count. A user of the system's is `vchkpw-pop3: system password login success USER:ADDRESS`. Failures begin with
`vchkpw-pop3: ` and something else, some with the password that was tried. Version 4 writes `vchkpw: login [USER] from
ADDRESS`, and doesn't say for which service.
"""

from submission.core.poplog.format import IP, USER, Format, login

VPOPMAIL = Format(
    name="vpopmail",
    programs={b"vpopmail": "pop3"},
    logins=(
        login(
            rb"vchkpw-(?P<proto>pop3|imap)s?: \([A-Z0-9-]{1,32}\) login success (?P<user>.+@[0-9A-Za-z._-]{0,255}):", IP
        ),
        login(rb"vchkpw-(?P<proto>pop3|imap)s?: system password login success (?P<user>[^:\s]{1,255}):", IP),
        login(rb"vchkpw: login \[", USER, rb"\] from ", IP),
    ),
    executables=frozenset({"vchkpw"}),
)
