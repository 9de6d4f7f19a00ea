"""docs/pop-before-smtp.md, followed on a host whose Dovecot logs joe in; sendmail has the table each way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.documents.serving import serving
from tests.support import programs
from tests.support.granting import login_line
from tests.support.host import CLIENT, Host
from tests.support.network import wait_until
from tests.support.pop_host import STRANGER as GRANTED
from tests.support.pop_host import may_relay
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/pop-before-smtp.md"
CONFIGURATION = "/etc/submission/submission.toml"
MESSAGE = "swaks --server mail.example.com:587 --from joe@example.com --to you@example.org"
ALICE = login_line("alice@example.com", "2001:db8::50", timedelta(minutes=1)).replace("pop3", "imap")
LOGOUT = (
    "Nov 21 14:31:15 mail dovecot: pop3(joe)<12><6WKfm3cJfJ5/AAAB>: Logged out top=0/0, retr=0/0, del=0/0, size=0\n"
)
NEW_ACCESS = "FEATURE(`access_db', `hash -T<TMPF> /etc/mail/relay/access')dnl\n"


@pytest.fixture
def with_swaks(installed: Host) -> Host:
    """The host, and another address of the client's machine's, to which the document gives a grant by hand."""
    programs.require("swaks")
    installed.run(f"ip address add {GRANTED}/24 dev host", from_client=True)
    with installed.path("/etc/mail/access").open("a") as access:
        access.write("GreetPause:192.0.2\t0\n")
    installed.do("cd /etc/mail; makemap hash access < access")
    return installed


def restart_sendmail(there: Host) -> None:
    there.do("m4 /etc/mail/sendmail.mc > /etc/mail/sendmail.cf; systemctl restart sendmail")


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_pop_before_smtp(with_swaks: Host) -> None:
    there = with_swaks
    with serving(there, ""), Walk(there, DOCUMENT, awaited=["submission pop list", MESSAGE]) as walk:
        with there.path("/var/log/mail.log").open("a") as file:
            file.write(ALICE + login_line("joe", CLIENT) + LOGOUT)
        walk.section("A configuration that works")
        walk.section("See that it is right")
        there.run(MESSAGE, from_client=True)
        walk.section("Commands")

        settings = there.path(CONFIGURATION).read_text()
        source = there.path("/etc/mail/sendmail.mc").read_text()
        for way in ("socketmap", "text_map", "access_map"):
            walk.section(way)
            if way == "access_map":
                assert NEW_ACCESS in DOCUMENT.read_text()
                lines = source.splitlines(keepends=True)
                [old] = [line for line in lines if line.startswith("FEATURE(`access_db'")]
                there.path("/etc/mail/sendmail.mc").write_text(source.replace(old, NEW_ACCESS))
            there.do("submission reload")
            restart_sendmail(there)
            wait_until(lambda: may_relay(there) == {CLIENT: False, GRANTED: True})
            there.path(CONFIGURATION).write_text(settings)
            there.path("/etc/mail/sendmail.mc").write_text(source)
