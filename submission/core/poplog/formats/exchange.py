"""Exchange's protocol logs of POP3 and IMAP4, 2010 and later: columns apart by commas.

Time, session, number, ours:port, client:port, user, duration, sizes, command, parameters, `R=ok`, or
`"R=ok;RpcC=27;..."` with what it cost. All columns up to the command are narrow, counted from the left; the result is
the line's end.
"""

from submission.core.poplog.format import IP, Format, login

_NUMBER = rb"[0-9]{1,10}"

EXCHANGE = Format(
    name="exchange",
    programs={b"": None},
    lines=(
        login(
            rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,16}Z,[0-9A-Fa-f]{16}," + _NUMBER + rb",[^,\s]{1,64},\[?" + IP,
            rb"\]?:[0-9]{1,5},(?P<user>[^,\"\s]{1,255})," + _NUMBER + rb"," + _NUMBER + rb"," + _NUMBER,
            rb",(?P<proto>pass|login|authenticate),[^,\"]{0,600},",
            rb"(?P<quote>\"?)R=ok(?:;[A-Za-z]{1,16}=[0-9]{1,10}){0,16}(?P=quote)",
        ),
    ),
)
