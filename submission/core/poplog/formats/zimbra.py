"""Zimbra's audit.log and mailbox.log, from 6 to 10.

`INFO  [Pop3Server-13] [ip=PROXY;oip=CLIENT;...] security - cmd=Auth; account=U; protocol=pop3;`: failures are WARN and
end with `error=`, soap and others write the same for themselves. ZimbraLog.encodeArg doubles a semicolon in a value and
makes a blank of a line feed. `ua=` is the client's own word and comes after the addresses. By syslog the program is
`mailboxd`, and there is no time.

`oip` is what the proxy says in IMAP's ID or POP's XOIP of its client. Zimbra believes this of anybody: where clients
reach it past its proxy, one with a password can name another address.
"""

from submission.core.poplog.format import IP, Format, login

_CONTEXT = (
    rb"\[(?:(?:name|aname|mid)=[^;\]=]{1,255};){0,3}(?:ip=[0-9A-Fa-f.:]{2,45};(?:cid=[0-9]{1,20};)?(?=oip=))?o?ip="
    + IP
    + rb";(?:(?:via|ua|cid|port|oport|oproto)=[^;\]]{0,255};){0,6}\] "
)
_HEAD = rb"INFO +\[(?P<proto>Pop3|Imap)(?:SSL)?Server-[0-9]{1,10}\] " + _CONTEXT
_MESSAGES = (
    _HEAD + rb"security - cmd=Auth; account=(?P<user>[^;]{1,255}); protocol=(?:pop3|imap);",
    _HEAD + rb"(?:pop|imap) - user (?P<user>[^;]{1,255}) authenticated, mechanism=[A-Z0-9_-]{1,32}(?: (?:\[TLS\])?)?",
)
_TIME = rb"[0-9-]{10} [0-9:]{8},[0-9]{3} "

ZIMBRA = Format(
    name="zimbra",
    programs={b"": None, b"mailboxd": None},
    logins=tuple(login(message) for message in _MESSAGES),
    lines=tuple(login(_TIME, message) for message in _MESSAGES),
    executables=frozenset({"java"}),
    caution="a client that reaches it past its proxy can name another address, once it has a password",
)
