"""docs/migration/popauthd.md, followed on a Debian whose access file POPauthd has written.

Its files are as POPauthd, delexpired and makeaccess leave them, the database a real one, made by makemap.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import CLIENT, Host
from tests.support.pop_host import STRANGER, may_relay, pop_host, see_a_grant_end, walk_of
from tests.support.sendmail import ROOT

DOCUMENT = Path(__file__).parents[2] / "docs/migration/popauthd.md"

STATIC = "192.168\tRELAY\n10.0.0.1\tREJECT\n"

CRONTAB = """\
25 6 * * * root run-parts --report /etc/cron.daily
15 * * * * root /usr/local/sbin/delexpired.pl
0 * * * * root /usr/local/sbin/restart_popauthd.sh
"""


@pytest.fixture(scope="module")
def packages() -> Path:
    return ROOT


@pytest.fixture
def host_with_popauthd(there: Host) -> Iterator[Host]:
    with pop_host(there, "", "popauthd"):
        static = there.path("/etc/mail/access").read_text() + STATIC
        days_ago = time.time() - 3 * 86400
        date = time.strftime("%b %d %H:%M:%S", time.localtime(days_ago))
        there.path("/etc/mail/access.static").write_text(static)
        there.path("/etc/mail/access").write_text(f"{static}{CLIENT}\tRELAY\n")
        there.path("/etc/mail/access.info").write_text(f"{date}\tjoe\t{CLIENT}\t{days_ago:.0f}\n")
        there.path("/etc/crontab").write_text(CRONTAB)
        there.do("cd /etc/mail; makemap hash access < access")
        there.do("systemctl start sendmail; systemctl start popauthd")
        yield there
        there.do("systemctl stop sendmail")


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_the_move(host_with_popauthd: Host) -> None:
    there = host_with_popauthd
    with walk_of(there, DOCUMENT) as walk:
        walk.section("Before")
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        walk.section("Steps")
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        assert CLIENT not in there.path("/etc/mail/access").read_text()
        assert there.path("/etc/crontab").read_text().count("\n#") == 2
        walk.section("How to see that it works")
        walk.section("How to retire the fallback")
        see_a_grant_end(there)
        begin = time.monotonic()
        walk.section("How to roll back in a minute")
        assert time.monotonic() - begin < 60
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        assert there.path("/etc/crontab").read_text() == CRONTAB
        assert there.path("/etc/mail/access.info").read_text().split("\t")[1:3] == ["joe", CLIENT]
