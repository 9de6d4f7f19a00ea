"""python -m benchmarks.poplog: how fast log lines are understood, and whether memory stays flat.

A million lines like those of a busy mail server: postfix's and Dovecot's own talk, a login among twenty, each of
another user and address. All formats are asked for, which is more than anybody should.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS

LINES = 1_000_000
_OTHERS = (
    "postfix/smtpd[448]: connect from client7.example.net[198.51.100.7]",
    "postfix/cleanup[451]: 1A9582CE9BA: message-id=<20261121.{number}@example.net>",
    "postfix/qmgr[88]: 1A9582CE9BA: from=<joe@example.com>, size={number}, nrcpt=1 (queue active)",
    "postfix/smtp[452]: 1A9582CE9BA: to=<anna@example.org>, relay=mx.example.org[203.0.113.9]:25, delay=0.5, "
    "delays=0.1/0/0.2/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {number})",
    "dovecot: imap(joe)<{number}><uXQw/b9gbaDAAAIy>: Disconnected: Logged out in=24 out=815 deleted=0 expunged=0",
    "dovecot: imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=192.0.2.50, "
    "lip=192.0.2.1, session=<64nR/r9g7aTAAAIy>",
    "dovecot: pop3-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 1 secs): user=<joe>, "
    "method=PLAIN, rip=192.0.2.50, lip=192.0.2.1, session=<gvsf/r9gd5XAAAIy>",
    "sendmail[40]: 6AL3SnxB{number}: from=<joe@example.com>, size=1200, class=0, nrcpts=1, relay=[10.0.0.1]",
    "pop3d: LOGOUT, user=joe, ip=[::ffff:192.0.2.50], port=[48607], top=0, retr=0, rcvd=12, sent=39, time=1",
    "systemd[1]: Started Session {number} of User joe.",
)
_LOGIN = (
    "dovecot: imap-login: Login: user=<user{number}@example.com>, method=PLAIN, rip={address}, lip=192.0.2.1, "
    "mpid={number}, TLS, session=<GZKJ/b9gE77AAAIy>"
)


def lines() -> Iterator[bytes]:
    for number in range(LINES):
        second = number // 500
        stamp = f"Nov 21 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} mail "
        message = _LOGIN if number % 20 == 0 else _OTHERS[number % len(_OTHERS)]
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        yield (stamp + message.replace("{number}", str(number)).replace("{address}", address)).encode()


def main() -> None:
    reader = Reader(FORMATS.values())
    given = list(lines())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    logins = sum(reader.feed(line, 1795234567.0) is not None for line in given)
    seconds = time.process_time() - begin
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{LINES} lines, {logins} logins: {LINES / seconds:,.0f} lines/s of CPU time, memory grew by {grown} KiB")


if __name__ == "__main__":
    main()
