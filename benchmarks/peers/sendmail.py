"""sendmail with TLS and Cyrus SASL of its own: the host without a proxy, and with one.

Both ways the same sendmail takes the same messages into its queue (delivery mode "queue"), for what delivery costs is
no matter of who took the message.
"""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from os import geteuid
from pathlib import Path

from benchmarks.peers import Running, Site, absent
from benchmarks.peers.cyrus import make_accounts
from tests.support.sendmail import BINARY, CONFIGURATION, Sendmail, namespaces


class SendmailItself:
    """sendmail that clients submit to directly."""

    name = "sendmail"
    title = "sendmail"
    most_connections = 100

    def missing(self) -> str | None:
        """Whether it can't be measured."""
        return absent(
            str(BINARY), str(CONFIGURATION), "m4", "saslpasswd2", package="sendmail-bin, sendmail-cf, m4 and sasl2-bin"
        )

    def version(self) -> str:
        """As it says itself, before it finds that it has no configuration, and under a host name that it likes."""
        command = [*namespaces(), str(BINARY), "-C/dev/null", "-d0.1", "-bv"]
        said = subprocess.run(command, check=False, capture_output=True, text=True)
        return f"sendmail {said.stdout.partition('Version ')[2].split()[0]}"

    @contextmanager
    def running(self, site: Site) -> Iterator[Running]:
        """One that runs for as long as the context lasts. It passes nothing on: site.relay plays no part."""
        make_accounts(site.folder, "Sendmail", owner=pwd.getpwuid(geteuid()).pw_name)
        for name, source in (("server.pem", site.certificate), ("server.key", site.key)):
            (site.folder / name).write_bytes(source.read_bytes())
            (site.folder / name).chmod(0o600)
        with relay(site.folder / "sendmail", submission=site.folder) as running:
            yield running


@contextmanager
def relay(folder: Path, submission: Path | None = None) -> Iterator[Running]:
    """A sendmail that queues what it gets from 127.0.0.1; with `submission`, from whoever logs in with TLS."""
    with Sendmail(folder, mode="queue", submission=submission) as sendmail:
        yield Running(sendmail.port, sendmail.pid)
