"""Dovecot's submission service, as Debian installs it and tuned.

As installed every connection has two processes of its own: one that does TLS and the login and then passes the octets
on, one that speaks SMTP. Tuned, each kind is a process a worker that serves any number of connections, and passwords
that were right are cached: its documentation calls that the high-performance mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import programs
from benchmarks.peers import Running, Site, absent
from benchmarks.traffic import PASSWORD, USER
from tests.support.network import free_port

# What it has to be told in any case. All clients of the benchmark are one user at one address.
# Mailboxes play no part in submission, but Dovecot opens them; a process can serve several users only with Maildir.
CONFIGURATION = """\
base_dir = {site.folder}/run
state_dir = {site.folder}/state
log_path = {site.folder}/log
protocols = submission
listen = 127.0.0.1
hostname = mail.example.com
mail_location = maildir:{site.folder}/mail
ssl_cert = <{site.certificate}
ssl_key = <{site.key}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {site.folder}/passwd
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={site.folder}/mail
}}
service submission-login {{
  inet_listener submission {{
    port = {port}
  }}
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {site.relay}
protocol submission {{
  mail_max_userip_connections = 10000
}}
"""

TUNING = """\
auth_cache_size = 10M
default_client_limit = 10000
default_vsz_limit = 2G
service submission-login {{
  service_count = 0
  process_min_avail = {site.workers}
  process_limit = {site.workers}
}}
service submission {{
  service_count = 0
  client_limit = 10000
  process_min_avail = {site.workers}
  process_limit = {site.workers}
}}
"""


@dataclass(slots=True)
class Dovecot:
    """One of the two."""

    name: str
    title: str
    tuning: str
    most_connections: int

    def missing(self) -> str | None:
        """Whether it can't be measured."""
        return absent("dovecot", "/usr/lib/dovecot/submission", package="dovecot-core and dovecot-submissiond")

    def version(self) -> str:
        """As it says itself."""
        return f"Dovecot {programs.run(['dovecot', '--version']).split()[0]}"

    @contextmanager
    def running(self, site: Site) -> Iterator[Running]:
        """One that runs for as long as the context lasts."""
        port = free_port()
        file = site.folder / "dovecot.conf"
        file.write_text((CONFIGURATION + self.tuning).format(site=site, port=port))
        (site.folder / "passwd").write_text(f"{USER}:{PASSWORD}\n")
        (site.folder / "mail").mkdir()
        (site.folder / "mail").chmod(0o777)
        with programs.running(["dovecot", "-F", "-c", str(file)], port, site.folder) as pid:
            yield Running(port, pid)


TUNED = Dovecot("dovecot-tuned", "Dovecot tuned", TUNING, most_connections=1000)
INSTALLED = Dovecot("dovecot", "Dovecot", "", most_connections=100)
