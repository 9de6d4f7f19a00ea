"""Dovecot, 0.99 to 2.4, by syslog or into its own file.

From login-common/client-common.c: `Login: user=<%u>, method=%m, rip=%r, lip=%l, mpid=%e, %c, session=<%{session}>`; 2.4
says `Logged in`. Everything else begins otherwise: `Disconnected`, `Aborted login`, `Login aborted`. The user's name
is raw but for control characters, and cut at 80 octets. After it come words of the server's, each of a narrow form.

As a proxy it writes `proxy(%u): started proxying to HOST:PORT` before the same fields when the backend has said yes
(2.4: `proxy(%u,HOST:PORT): Started proxying to remote host (0.021 secs)`), and `proxy(%u): Login failed ...` when not.
There the name comes first, so it has to be the same in both places: a failure whose name looks like a success can't
have it twice.

The log process writes all lines, under the name of the whole. The first word is the service: `pop3-login` and
`imap-login` count; `managesieve-login` and `submission-login` write the same and don't.
"""

from submission.core.poplog.format import IP, USER, Format, login

_SERVICE = rb"(?P<proto>pop3|imap)-login: "
# In its own file.
_LEVEL = rb"(?:Info: )?"
# There too, up to 1.x: after the program's name.
_STAMP = rb"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[A-Z][a-z]{2} [ 0-9][0-9]) [0-9:]{8} Info: "
_FIELDS = (
    rb", method=(?!ANONYMOUS,)[A-Z0-9_-]{1,32}, rip="
    + IP
    + rb"(?:, rport=[0-9]{1,5})?, lip=[0-9A-Fa-f.:]{2,45}(?:, lport=[0-9]{1,5})?"
    + rb"(?:, mpid=[0-9]{1,10})?(?:, (?:TLS|TSL|secured))?"  # TSL: client-common.c of 2.4
    + rb"(?:, (?:TLSv1|SSLv3)[0-9.]{0,2} with cipher [A-Z0-9_-]{1,64} \([0-9]{1,4}/[0-9]{1,4} bits\)"
    + rb"(?: [a-z ]{1,32})?)?(?:, session=<[^<>\s]{1,64}>)?"
)
_MESSAGE = rb"(?:Login|Logged in): user=<" + USER + rb">" + _FIELDS
_PROXY = (
    rb"proxy\("
    + USER
    + rb"(?:,[^ ]{1,300})?\): [Ss]tarted proxying to (?:remote host|[^ ]{1,300})(?: \(<[^ ]{1,300}>\))?"
    + rb"(?: from [0-9A-Fa-f.:]{2,45})?(?: as user [^ ]{1,255})?(?: \(master [^ ]{1,255}\))?"
    + rb"(?: \([0-9.]{1,10} secs(?:, [0-9]{1,10} reconnects)?\))?: user=<(?P=user)>"
    + _FIELDS
)
_OLD = rb"Login: " + USER + rb" \[" + IP + rb"\]"

DOVECOT = Format(
    name="dovecot",
    programs={b"dovecot": None, b"pop3-login": "pop3", b"imap-login": "imap", b"": None},
    logins=(
        login(_SERVICE, _MESSAGE),
        login(_SERVICE, _PROXY),
        login(_LEVEL, _MESSAGE),  # the service's name is where a program's would be
        login(_LEVEL, _PROXY),
        login(_OLD),
    ),
    lines=(
        login(rb"dovecot: ", _STAMP, _SERVICE, _MESSAGE),
        login(_SERVICE, _STAMP, _OLD),
    ),
    executables=frozenset({"log", "dovecot"}),
)
