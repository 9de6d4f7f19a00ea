"""Real logrotate, again and again, of files that rsyslogd writes logins into all the while: each counted once."""

from __future__ import annotations

import gzip
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing

import pytest

from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from submission.popwatch.watcher import Watcher
from tests.support import programs
from tests.support.network import PATIENCE
from tests.support.rsyslog import Rsyslog, rsyslog
from tests.support.server import public_folder

LOGINS = 1500
FORM = "rfc3164"
WAYS = {
    "create": "create",
    "create and compress": "create\ncompress",
    "create, compress later": "create\ncompress\ndelaycompress",
    "dates": "create\ndateext\ndateformat -%s.log",
    "copytruncate": "copytruncate",
    "copytruncate and compress": "copytruncate\ncompress",
}
LOSING = {"create and compress", "copytruncate", "copytruncate and compress"}
"""logrotate(8): what is written behind the copying, or the compressing, is on no disk. We may have seen it."""


@pytest.fixture
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rsyslog]:
    with public_folder() as folder, rsyslog(folder / "log", folder / "socket") as log:
        yield log


def say(log: Rsyslog, users: Iterable[str]) -> None:
    """Log logins as Dovecot's log process does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(str(log.folder.parent / "socket"))
        for number, user in enumerate(users):
            text = f"imap-login: Login: user=<{user}>, method=PLAIN, rip=198.51.100.23, lip=192.0.2.1, mpid=1"
            sock.send(f"<22>Nov 21 02:20:00 dovecot: {text}".encode())
            if number % 10 == 9:
                time.sleep(0.01)  # the pace of a busy server


def rotate(log: Rsyslog, way: str, done: threading.Event) -> None:
    """Let logrotate do it as often as it can, as Debian's own configuration for rsyslog does."""
    folder = log.folder / "rotation"
    folder.mkdir()
    hang_up = "" if "copytruncate" in way else f"postrotate\nkill -HUP {log.pid}\nendscript\n"
    configuration = folder / "logrotate.conf"
    configuration.write_text(f"{log.path(FORM)} {{\nrotate 100\nmissingok\n{WAYS[way]}\n{hang_up}}}\n")
    configuration.chmod(0o644)
    command = ["logrotate", "--force", "--state", str(folder / "state"), str(configuration)]
    while not done.wait(0.05):
        subprocess.run(command, stderr=subprocess.DEVNULL)  # it complains of a second rotation in the same second


def users_on_disk(log: Rsyslog) -> Counter[str]:
    """How often each login is in all files together."""
    reader = Reader(FORMATS.values())
    contents = [(path.suffix, path.read_bytes()) for path in log.folder.glob(f"{FORM}*")]
    texts = [gzip.decompress(content) if suffix == ".gz" else content for suffix, content in contents]
    logins = [reader.feed(line, time.time()) for text in texts for line in text.split(b"\n")]
    return Counter(login.user for login in logins if login)


def work(log: Rsyslog, way: str) -> None:
    """Log in and rotate; after that, one login more."""
    done = threading.Event()
    rotation = threading.Thread(target=rotate, args=(log, way, done))
    rotation.start()
    say(log, (f"user{number}" for number in range(LOGINS)))
    done.set()
    rotation.join()
    say(log, ["last"])


@pytest.mark.parametrize("way", WAYS)
def test_each_login_counts_once_while_logrotate_works(log: Rsyslog, way: str) -> None:
    programs.require("logrotate", "gzip")
    log.path(FORM).touch()
    reader, users = Reader(FORMATS.values()), Counter[str]()
    stop, writers = threading.Event(), threading.Thread(target=work, args=(log, way))
    patience = threading.Timer(3 * PATIENCE, stop.set)
    patience.start()
    with closing(Watcher([str(log.path(FORM))], {})) as watcher:
        for batch in watcher.batches(stop):
            if not writers.ident:  # the first batch tells that it has begun
                writers.start()
            users.update(login.user for line in batch.lines if (login := reader.feed(line, time.time())))
            if "last" in users:
                break
    patience.cancel()
    writers.join()
    kept = users_on_disk(log)
    assert max(users.values()) == 1
    assert users >= kept
    assert len(kept) == LOGINS + 1 or way in LOSING
