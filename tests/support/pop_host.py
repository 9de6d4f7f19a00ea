"""A host of walk.py's that lets those relay who have read mail: what the documents about POP before SMTP start from.

Its sendmail asks the old system's map, by rules at the end of sendmail.mc; its POP server is a real popa3d, whose user
joe has one password for everything. The old system's programs are in no distribution any more: each test writes the
files that its system would have left, and of its daemon there is as much as can be started and stopped.
"""

from __future__ import annotations

import shutil
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import programs
from tests.support.host import ADDRESS, CLIENT, Host
from tests.support.network import PATIENCE, wait_until
from tests.support.old_sendmail import old_sendmail
from tests.support.pop_servers import PACKAGES, popa3d
from tests.support.recipe import Command, read_recipe
from tests.support.walk import Walk

USER = "joe"
PASSWORD = "secret"
STRANGER = "192.0.2.51"
"""Another address of the client's machine's, from which nobody has read mail."""
ABROAD = "ann@example.org"

_DAEMON = """\
#!/bin/sh
# start|stop
case $1 in
  start) sleep infinity & echo $! > /run/{name}.pid ;;
  stop) kill "$(cat /run/{name}.pid)" && rm /run/{name}.pid ;;
esac
"""


@contextmanager
def pop_host(there: Host, rules: str, daemon: str) -> Iterator[None]:
    """Lay it out and start it, but for what the old system has besides: its files, and its daemon of that name."""
    programs.require("swaks", "curl")
    there.run(f"ip address add {STRANGER}/24 dev host", from_client=True)
    there.machine.add_user(USER, PASSWORD)
    with old_sendmail(there):
        with there.path("/etc/mail/sendmail.mc").open("a") as source:
            source.write(rules)
        with there.path("/etc/mail/access").open("a") as access:
            access.write("GreetPause:192.0.2\t0\n")
        there.do("cd /etc/mail; m4 sendmail.mc > sendmail.cf; makemap hash access < access")
        there.path(f"/etc/init.d/{daemon}").write_text(_DAEMON.format(name=daemon))
        there.do(f"chmod 755 /etc/init.d/{daemon}")
        _unpack_popa3d(there)
        with popa3d(there.machine):
            there.make_certificate()
            yield


def _unpack_popa3d(there: Host) -> None:
    programs.require_file(PACKAGES / "usr/sbin/popa3d", "popa3d")
    for name in ("usr/sbin/popa3d", "etc/pam.d/popa3d"):
        if not there.path(f"/{name}").exists():
            shutil.copy(PACKAGES / name, there.path(f"/{name}"))
    there.path("/var/lib/popa3d").mkdir(exist_ok=True)


def walk_of(there: Host, document: Path) -> Walk:
    """A walk through a document in which joe reads mail and sends."""
    commands = [step.text for step in read_recipe(document) if isinstance(step, Command)]
    answers = {text: f"{PASSWORD}\n" for text in commands if f"user {USER}" in text}
    awaited = [text for text in commands if "--quit-after RCPT" in text]  # for a grant
    return Walk(there, document, answers=answers, awaited=awaited)


def reply_to_recipient(there: Host, address: str, recipient: str = ABROAD) -> int:
    """The code that who comes from one of the client's machine's addresses hears for this recipient on port 25."""
    source = (address, 0)
    with there.from_client(), smtplib.SMTP(ADDRESS, 25, "pc.example.org", PATIENCE, source) as client:
        client.ehlo()
        client.mail(f"{USER}@mail.example.com")
        return client.rcpt(recipient)[0]


def see_a_grant_end(there: Host) -> None:
    """Give the stranger one, which is good for port 25, and no longer than it should be."""
    there.do(f"submission pop add {STRANGER} eve --for 10s")
    wait_until(lambda: reply_to_recipient(there, STRANGER) == 250)
    wait_until(lambda: reply_to_recipient(there, STRANGER) == 550)


def may_relay(there: Host) -> dict[str, bool]:
    """Who may send elsewhere by port 25."""
    return {address: reply_to_recipient(there, address) == 250 for address in (CLIENT, STRANGER)}
