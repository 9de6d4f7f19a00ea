"""docs/migration/sasldb2.md, followed on a Debian whose sendmail logs users in by /etc/sasldb2."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.host import ADDRESS, Host
from tests.support.network import PATIENCE, wait_until
from tests.support.old_sendmail import old_sendmail
from tests.support.recipe import Command, read_recipe
from tests.support.sendmail import ROOT
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/migration/sasldb2.md"
PASSWORD = "secret"

LINES = """\
define(`confAUTH_MECHANISMS', `DIGEST-MD5 CRAM-MD5 LOGIN PLAIN')dnl
TRUST_AUTH_MECH(`DIGEST-MD5 CRAM-MD5 LOGIN PLAIN')dnl
"""
CYRUS = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: DIGEST-MD5 CRAM-MD5 LOGIN PLAIN
"""


@pytest.fixture(scope="module")
def packages() -> Path:
    return ROOT


@pytest.fixture
def sendmail_with_sasl(there: Host) -> Iterator[Host]:
    programs.require("saslpasswd2", "sasldblistusers2", "swaks", "ss")
    with old_sendmail(there, LINES, users=["bob"]):
        there.path("/etc/mail/sasl/Sendmail.conf.2").write_text(CYRUS)
        there.do("rm -f /etc/sasldb2")
        for user in ("alice", "bob"):
            there.do(f"saslpasswd2 -c -p -u mail.example.com {user}", stdin=PASSWORD)
        there.do("chown root:sasl /etc/sasldb2; chmod 0640 /etc/sasldb2")
        there.do("systemctl start sendmail")
        there.make_certificate()
        yield there


def refused(there: Host, port: int) -> int:
    """What somebody hears who wants to send elsewhere without a login."""
    with there.from_client(), smtplib.SMTP(ADDRESS, port, "client.example.net", PATIENCE) as client:
        client.ehlo()
        code, _ = client.mail("a@mail.example.com")
        return code if code >= 400 else client.rcpt("b@example.org")[0]


def log_in(there: Host, port: int) -> int:
    with there.from_client(), smtplib.SMTP(ADDRESS, port, "client.example.net", PATIENCE) as client:
        client.ehlo()
        if client.has_extn("starttls"):
            client.starttls()
        return client.login("alice", PASSWORD)[0]


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_the_move(sendmail_with_sasl: Host) -> None:
    there = sendmail_with_sasl
    logins = {step.text for step in read_recipe(DOCUMENT) if isinstance(step, Command) and "--auth-user" in step.text}
    with Walk(there, DOCUMENT, answers=dict.fromkeys(logins, f"{PASSWORD}\n")) as walk:
        walk.section("Before")
        walk.section("Steps")
        walk.section("How to see that it works")
        mailbox = there.path("/var/mail/bob")
        wait_until(lambda: "Subject: from cron" in mailbox.read_text())  # sendmail delivers in the background
        assert "with ESMTPSA" in mailbox.read_text()
        assert refused(there, 25) == 550
        assert refused(there, 587) == 530
        assert log_in(there, 25) == 235  # whoever does so still meets sendmail
        walk.section("How to roll back in a minute")
        walk.section("Leave the accounts in sasldb2")
        walk.section("When both want port 587")
        assert log_in(there, 587) == 235  # by the accounts that are shared
