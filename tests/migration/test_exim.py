"""docs/migration/exim.md, followed on a Debian whose Exim logs users in by a file of passwords.

Stand-in: /etc/init.d/exim4 runs the daemon as Debian's script would, whose package isn't unpacked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.host import Host
from tests.support.recipe import Command, read_recipe
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/migration/exim.md"
ROOT = Path(os.environ.get("EXIM_ROOT", "/"))
"""Where exim4-daemon-light and exim4-base are unpacked."""
PASSWORD = "secret"

LOGINS = """\
# login[@domain]   password
alice              secret
carol@example.net  sesame 2
"""

CONFIGURATION = """\
primary_hostname = mail.example.com
domainlist local_domains = @
hostlist relay_from_hosts = <; 127.0.0.1 ; ::1
acl_smtp_rcpt = acl_check_rcpt
daemon_smtp_ports = 25 : 587
disable_ipv6
host_lookup =
rfc1413_hosts =
auth_advertise_hosts = *
log_file_path = /var/log/exim4/%slog
tls_advertise_hosts =

begin acl
acl_check_rcpt:
  accept hosts = +relay_from_hosts
  accept authenticated = *
  accept domains = +local_domains
  deny message = relay not permitted

begin routers
elsewhere:
  driver = manualroute
  domains = ! +local_domains
  route_list = * 192.0.2.99 byname
  transport = remote

begin transports
remote:
  driver = smtp

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if eq{$auth3}{${lookup{$auth2}lsearch{/etc/exim4/auth_logins}{$value}fail}}}
  server_set_id = $auth2

cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${lookup{$auth1}lsearch{/etc/exim4/auth_logins}{$value}fail}
  server_set_id = $auth1
"""

INIT_SCRIPT = """\
#!/bin/sh
# start|stop|restart
file=/run/exim4/exim.pid
stop() {
  while kill "$(cat $file)" 2> /dev/null; do sleep 0.05; done
}
[ "$1" = start ] || stop
[ "$1" = stop ] || /usr/sbin/exim4 -bd -q30m -oP $file
"""

# What the packages' scripts do when they are installed.
SET_UP = """
useradd --system --user-group Debian-exim
install -d -o Debian-exim -g adm -m 2750 /var/log/exim4
install -d -o Debian-exim -g Debian-exim -m 0750 /var/spool/exim4 /run/exim4
chmod 4755 /usr/sbin/exim4
chown root:Debian-exim /etc/exim4/auth_logins
chmod 0640 /etc/exim4/auth_logins
chmod 755 /etc/init.d/exim4
"""


@pytest.fixture(scope="module")
def packages() -> Path:
    return ROOT


@pytest.fixture
def exim(there: Host) -> Iterator[Host]:
    programs.require("swaks")
    programs.require_file(ROOT / "usr/sbin/exim4", "exim4-daemon-light")
    there.path("/etc/exim4").mkdir(exist_ok=True)
    there.path("/etc/exim4/auth_logins").write_text(LOGINS)
    there.path("/etc/exim4/exim4.conf").write_text(CONFIGURATION)
    there.path("/etc/init.d/exim4").write_text(INIT_SCRIPT)
    there.do(SET_UP)
    there.do("systemctl start exim4")
    there.make_certificate()
    yield there
    there.do("systemctl stop exim4")


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_the_move(exim: Host) -> None:
    logins = [step.text for step in read_recipe(DOCUMENT) if isinstance(step, Command) and "--auth-user" in step.text]
    answers = {login: "sesame 2\n" if "--auth-user carol" in login else f"{PASSWORD}\n" for login in logins}
    with Walk(exim, DOCUMENT, answers=answers) as walk:
        for section in ("Before", "Steps", "How to see that it works"):
            walk.section(section)
        walk.section("How to roll back in a minute")
        walk.section("When both want port 587")
