"""Debian's rsyslogd, for a socket of the test's, writing the same lines into a file of each form that it knows."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import programs
from tests.support.network import PATIENCE, wait_until

FORMS = {
    "rfc3164": "RSYSLOG_TraditionalFileFormat",
    "iso8601": "RSYSLOG_FileFormat",
    "rfc5424": "RSYSLOG_SyslogProtocol23Format",
}
"""Names of files, and the templates that make their lines."""


class Rsyslog:
    """One that runs."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.pid = process.pid

    def path(self, form: str) -> Path:
        """The file of a form."""
        return self.folder / f"{form}.log"

    def lines(self, form: str) -> list[bytes]:
        """What it has written in a form so far."""
        return self.path(form).read_bytes().splitlines() if self.path(form).exists() else []


@contextmanager
def rsyslog(folder: Path, socket: Path) -> Iterator[Rsyslog]:
    """Run one for as long as the context lasts; its files are whole after that. The folder is its own."""
    programs.require("rsyslogd")
    folder.mkdir(exist_ok=True)
    (folder / "work").mkdir()
    file = folder / "rsyslog.conf"
    file.write_text(_configuration(folder, socket))
    command = ["rsyslogd", "-n", "-f", str(file), "-i", str(folder / "pid")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: socket.is_socket() and (folder / "pid").exists())
            yield Rsyslog(folder, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _configuration(folder: Path, socket: Path) -> str:
    actions = [
        f'action(type="omfile" file="{folder}/{form}.log" template="{template}")\n' for form, template in FORMS.items()
    ]
    return (
        f'global(workDirectory="{folder}/work")\n'
        'module(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{socket}" RateLimit.Interval="0")\n'
        'module(load="builtin:omfile" fileCreateMode="0644")\n' + "".join(actions)
    )
