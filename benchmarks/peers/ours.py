"""This project, from this checkout."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from benchmarks import programs
from benchmarks.peers import Running, Site
from benchmarks.traffic import PASSWORD, USER
from tests.support.network import free_port

OWNER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

SCRIPTS = Path(sys.executable).parent
"""Where make setup has put them."""

# The limits are those of a configuration that is meant for a thousand clients behind one address.
CONFIGURATION = """\
hostname = "mail.example.com"
state_dir = "state"
user = "{owner}"
workers = {site.workers}

[[listen]]
address = "127.0.0.1:{port}"
tls = "starttls"

[tls]
certificate = "{site.certificate}"
key = "{site.key}"

[relay]
address = "127.0.0.1:{site.relay}"

[limits]
connections_per_ip = 10000
"""


class Ours:
    """submission serve."""

    name = "ours"
    title = "submission"
    most_connections = 1000

    def missing(self) -> str | None:
        """Nothing: it is here."""
        return None

    def version(self) -> str:
        """The version of the checkout, and of Python."""
        return f"submission {metadata.version('submission-proxy')}, Python {sys.version.split()[0]}"

    @contextmanager
    def running(self, site: Site) -> Iterator[Running]:
        """One that runs for as long as the context lasts."""
        port = free_port()
        file = site.folder / "submission.toml"
        file.write_text(CONFIGURATION.format(site=site, port=port, owner=OWNER))
        (site.folder / "state").mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(site.folder / "state", OWNER)
        user, _, realm = USER.partition("@")
        programs.run([SCRIPTS / "submission-passwd", "-c", "-p", "-u", realm, "-C", file, user], PASSWORD)
        with programs.running([SCRIPTS / "submission", "serve", "-c", file], port, site.folder) as pid:
            yield Running(port, pid)
