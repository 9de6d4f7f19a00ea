"""docs/migration/poprelayd.md, followed on a Debian whose sendmail asks poprelayd's maps.

The maps are real ones, made by makemap. The rules are like poprelayd's: they do what its documentation says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import CLIENT, Host
from tests.support.pop_host import STRANGER, may_relay, pop_host, reply_to_recipient, see_a_grant_end, walk_of
from tests.support.sendmail import ROOT

DOCUMENT = Path(__file__).parents[2] / "docs/migration/poprelayd.md"
DOMAIN = "backup.example.org"
BACKUP = f"ann@{DOMAIN}"

RULES = """\
LOCAL_CONFIG
Klocalip hash /etc/mail/localip
Kpopip hash /etc/mail/popip
Krelay hash /etc/mail/relay
LOCAL_RULESETS
SLocal_check_rcpt
R$*			$: $>canonify $1
R$* <@ $* .>		$: $1 <@ $2>
R$* <@ $*>		$: $>RelayDomain $2
ROK			$#OK
R$*			$: <$(popip $&{client_addr} $: ? $)> <$&{client_addr}>
R<?> <$*>		$: <$(localip $1 $: ? $)> <$1>
R<?> <$-.$-.$-.$->	$: <$(localip $1.$2.$3 $: ? $)> <$1.$2>
R<?> <$-.$->		$: <$(localip $1.$2 $: ? $)> <$1>
R<?> <$->		$: <$(localip $1 $: ? $)>
R<?> $*			$@ ?
R$*			$#OK
SRelayDomain
R$*			$: <$(relay $1 $: ? $)> <$1>
R<?> <$-.$+>		$@ $>RelayDomain $2
R<?> $*			$@ ?
R$*			$@ OK
"""

FILES = {
    "poprelay.conf": """\
# poprelayd's configuration
$logfile = '/var/log/mail.log';
$pidfile = '/var/run/poprelayd.pid';
$dbfile = '/etc/mail/popip.db';
$dbtype = $DB_HASH;
$timeout_minutes = 15;
sub scanaddr ($) {
    my $s = shift;
    return ($1) if $s =~ /popa3d.*Session from ([0-9.]+)/;
    return ();
}
1;
""",
    "localip": "192.168\tOK\n",
    "relay": "backup.example.org\tOK\n",
}


@pytest.fixture(scope="module")
def packages() -> Path:
    return ROOT


@pytest.fixture
def host_with_poprelayd(there: Host) -> Iterator[Host]:
    with pop_host(there, RULES, "poprelayd"):
        for name, text in FILES.items():
            there.path(f"/etc/mail/{name}").write_text(text)
        there.do("cd /etc/mail; makemap hash localip < localip; makemap hash relay < relay")
        there.do("makemap hash /etc/mail/popip", stdin=f"{CLIENT}\t{int(time.time()) - 60}\n")
        there.do(f"echo {STRANGER} mx.{DOMAIN} >> /etc/hosts")  # whom the host is a backup for may no more than others
        there.do("systemctl start sendmail; systemctl start poprelayd")
        yield there
        there.do("systemctl stop sendmail")


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_the_move(host_with_poprelayd: Host) -> None:
    there = host_with_poprelayd
    with walk_of(there, DOCUMENT) as walk:
        walk.section("Before")
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        walk.section("Steps")
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        assert reply_to_recipient(there, STRANGER, BACKUP) == 250
        walk.section("How to see that it works")
        walk.section("How to retire the fallback")
        see_a_grant_end(there)
        begin = time.monotonic()
        walk.section("How to roll back in a minute")
        assert time.monotonic() - begin < 60
        assert may_relay(there) == {CLIENT: True, STRANGER: False}
        assert reply_to_recipient(there, STRANGER, BACKUP) == 250
