"""Qualcomm's qpopper, 3.0 to 4.1, where it was built to log logins.

From pop_init.c: `(v%0) POP login by user "%1" at (%2) %3`, the name that DNS gives, then the address; debugging adds
`[pop_log.c:244]`. In its own file the program stands in brackets, without a host. Early versions don't quote the name.

Replies that begin with `-ERR` are logged as `USER at NAME (ADDRESS): -ERR ...`, the user's name first and at times the
client's words last. So a name with `: -ERR ` in it is none. `Stats:` is written at QUIT, when an address may have
changed hands, and by version 2 alone; it doesn't count.
"""

from submission.core.poplog.format import HOST, IP, Format, login

_NAME = rb"(?P<user>(?!.*: -ERR )"
_PLACE = rb" at \((?:" + HOST + rb"|[0-9A-Fa-f.:]{2,45})\) " + IP + rb"(?: \[[a-z_]{1,32}\.c:[0-9]{1,6}\])?"
_LOGIN = rb"\(v[0-9A-Za-z.+_-]{1,32}\) POP login by user "
_MESSAGES = (_LOGIN + rb'"' + _NAME + rb'.+)"' + _PLACE, _LOGIN + _NAME + rb'[^"\s]+)' + _PLACE)
_OWN = rb"[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} \[(?:in\.)?q?popper\] "

QPOPPER = Format(
    name="qpopper",
    programs={b"popper": "pop3", b"qpopper": "pop3", b"in.qpopper": "pop3", b"in.popper": "pop3", b"": "pop3"},
    logins=tuple(login(message) for message in _MESSAGES),
    lines=tuple(login(_OWN, message) for message in _MESSAGES),
    becomes_user=True,
)
