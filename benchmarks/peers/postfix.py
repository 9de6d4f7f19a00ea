"""Postfix as a submission service: smtpd, with Cyrus SASL, takes a message into the queue, smtp passes it on.

It promises less with its reply than a proxy does: a message that it has taken is not yet one that the relay has taken.
So its latency is that of its own queue; its CPU time is counted until the relay has everything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import programs
from benchmarks.peers import Running, Site, absent
from benchmarks.peers.cyrus import make_accounts
from tests.support.network import free_port

DAEMONS = Path("/usr/lib/postfix/sbin")

MAIN = """\
compatibility_level = 3.6
queue_directory = {site.folder}/queue
data_directory = {site.folder}/data
maillog_file = {site.folder}/log
maillog_file_prefixes = {site.folder}
myhostname = mail.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
relayhost = [127.0.0.1]:{site.relay}
smtp_host_lookup = native
smtpd_peername_lookup = no
message_size_limit = 40000000
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
cyrus_sasl_config_path = {site.folder}/sasl
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {site.key}, {site.certificate}
"""

# Debian's, without the services that submission has no use for, and outside of the chroot, which would need files.
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """smtpd and smtp."""

    name = "postfix"
    title = "Postfix"
    most_connections = 100  # as many processes as Postfix runs of a kind unless told otherwise

    def missing(self) -> str | None:
        """Whether it can't be measured."""
        return absent(str(DAEMONS / "master"), "saslpasswd2", package="postfix, sasl2-bin and libsasl2-modules")

    def version(self) -> str:
        """As it says itself."""
        return f"Postfix {programs.run(['postconf', '-d', '-h', 'mail_version']).strip()}"

    @contextmanager
    def running(self, site: Site) -> Iterator[Running]:
        """One that runs for as long as the context lasts."""
        port = free_port()
        (site.folder / "main.cf").write_text(MAIN.format(site=site))
        (site.folder / "master.cf").write_text(MASTER.format(port=port))
        for name in ("queue", "data", "sasl"):
            (site.folder / name).mkdir()
        shutil.chown(site.folder / "data", "postfix")
        make_accounts(site.folder / "sasl", "smtpd", owner="postfix")
        programs.run(["postfix", "-c", site.folder, "check"])  # makes what is missing of the queue
        with programs.running([DAEMONS / "master", "-c", site.folder, "-d"], port, site.folder) as pid:
            yield Running(port, pid)
