"""docs/migration/pop-auth.md, followed on a Debian whose sendmail asks a map that UW's pop-add has made.

The files are as pop-auth and pop-add leave them, but for the map, which is one of makemap's: Debian's sendmail knows no
dbm. What rules the original has is not known; these do what its documentation says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import CLIENT, Host
from tests.support.pop_host import STRANGER, may_relay, pop_host, see_a_grant_end, walk_of
from tests.support.sendmail import ROOT

DOCUMENT = Path(__file__).parents[2] / "docs/migration/pop-auth.md"

RULES = """\
LOCAL_CONFIG
Kpopauth hash /etc/mail/popauth
LOCAL_RULESETS
SLocal_check_rcpt
R$*			$: <$(popauth $&{client_addr} $: ? $)>
R<?>			$@ ?
R$*			$#OK
"""

CRONTAB = """\
25 6 * * * root run-parts --report /etc/cron.daily
*/5 * * * * root /usr/local/sbin/pop-expire
"""


@pytest.fixture(scope="module")
def packages() -> Path:
    return ROOT


@pytest.fixture
def host_with_pop_auth(there: Host) -> Iterator[Host]:
    with pop_host(there, RULES, "pop-auth"):
        there.path("/etc/mail/popdata").mkdir()
        there.path(f"/etc/mail/popdata/{CLIENT}").touch()
        there.path("/etc/crontab").write_text(CRONTAB)
        there.do(f"touch -d '1 minute ago' /etc/mail/popdata/{CLIENT}")
        there.do("makemap hash /etc/mail/popauth", stdin=f"{CLIENT}\tOK\n")
        there.do("systemctl start sendmail; systemctl start pop-auth")
        yield there
        there.do("systemctl stop sendmail")


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_the_move(host_with_pop_auth: Host) -> None:
    there = host_with_pop_auth
    with walk_of(there, DOCUMENT) as walk:
        walk.section("Before")
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        walk.section("Steps")
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        walk.section("How to see that it works")
        walk.section("How to retire the fallback")
        see_a_grant_end(there)
        begin = time.monotonic()
        walk.section("How to roll back in a minute")
        assert time.monotonic() - begin < 60
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        assert there.path("/etc/crontab").read_text() == CRONTAB
