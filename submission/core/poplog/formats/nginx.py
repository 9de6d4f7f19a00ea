"""nginx as a mail proxy, by syslog: its log has the clients' addresses, the servers behind it log nginx's.

`2026/11/21 03:23:30 [info] 38#38: *5 client logged in, client: ADDRESS[ using starttls], server: ..., login: "USER",
upstream: ...`; after a failure another text stands before the client. Address first, from the left. nginx proxies SMTP
too, and says so by the server's port alone: those of POP and IMAP count, and ports that end like them, such as 10110.

nginx writes names raw. syslog daemons escape a line feed in them; nginx's own file keeps it, and then a name is as many
lines as a stranger likes, each perfect, without any password. So lines of that file never count: nothing can tell. For
syslog nginx writes the host before its own name, which makes the host stand there twice (header.py).
"""

from submission.core.poplog.format import IP, USER, Format, login

_ENDS = rb"[0-9A-Fa-f.:-]{7,110}"  # of a connection, in old versions

NGINX = Format(
    name="nginx",
    programs={b"nginx": None},
    logins=(
        login(
            rb"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:]{8} \[info\] [0-9]{1,10}#[0-9]{1,10}: \*[0-9]{1,20} ",
            rb"client logged in, client: ",
            IP,
            rb'(?: using starttls)?, server: [^\s,]{1,300}:[0-9]{0,2}(?P<proto>110|995|143|993), login: "',
            USER,
            rb'", upstream: [^\s,"]{1,300}(?:, \[' + _ENDS + rb"\] <=> \[" + _ENDS + rb"\])?",
        ),
    ),
    caution="counts by way of syslog only; never name a file that nginx writes itself, where names may hold line feeds",
)
