"""A real sendmail, thrown away after the test: starts in a fifth of a second, asks no name server, sends nothing out.

It is Debian's, installed, or unpacked somewhere without being installed: then $SENDMAIL_ROOT is where. Everything of
an instance lies in a folder of its own, so any number run side by side, for root as for anybody else.

It accepts mail for its users at test.example (anybody else there is unknown: 550) and for the rest of the world. With
the delivery mode "interactive", the one used unless told otherwise, a message lies in its file before the client has
the 250, so that a test has nothing to wait for.

Four things it wouldn't do by itself:

- It wants a host name with a dot before it reads its configuration, and sleeps a minute where the machine has none.
  So it gets a UTS namespace with such a name; an address literal, for a name would be looked up.
- Its sessions are processes that outlive it. So it also gets a PID namespace, whose end is the end of them all.
- libc would ask a name server for a client's name, and what sendmail refuses for good it would refuse for now where
  there is none that answers. So it gets a mount namespace with an nsswitch.conf that knows of files only.
- Its binary belongs to a group of its own. A copy without that bit does what its user may.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support import programs
from tests.support.network import PATIENCE, free_port, wait_until_accepting

ROOT = Path(os.environ.get("SENDMAIL_ROOT", "/"))
BINARY = ROOT / "usr/libexec/sendmail/sendmail"
CONFIGURATION = ROOT / "usr/share/sendmail/cf"
MAKEMAP = ROOT / "usr/libexec/sendmail/makemap"
POPIP = Path(__file__).parents[2] / "contrib/sendmail/popip.m4"

# Called with FOLDER RECIPIENT and the message on standard input. A file appears whole, by rename.
DELIVER = """\
#!/bin/sh
file=$(mktemp "$1/.XXXXXXXXXX") && { printf 'Delivered-To: %s\\n' "$2"; cat; } > "$file" && mv "$file" "$1/${file##*/.}"
"""

_TRACE = re.compile(
    rb"Delivered-To: (?P<recipient>.*)\nReturn-Path: <(?P<sender>.*)>\n(?:Received: .*\n(?:[ \t].*\n)*)*"
)

# See the module's docstring; with this name libc takes the host's for an address.
_SET_UP = """
hostname 127.0.0.1 &&
if [ -e /etc/nsswitch.conf ]; then
  files=$(mktemp) && echo 'hosts: files' > "$files" && mount --bind "$files" /etc/nsswitch.conf && rm "$files"
fi && exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it was delivered: to one recipient, with the trace fields that were put on top of it."""

    recipient: str
    sender: str
    trace: bytes
    content: bytes
    """What the client sent, if nobody on the way changed it; lines end with LF, as in any Unix mailbox."""

    @classmethod
    def parse(cls, octets: bytes) -> Delivery:
        """Take a delivered file apart."""
        trace = _TRACE.match(octets)
        if trace is None:
            raise ValueError(f"no trace fields on top: {octets[:200]!r}")
        recipient, sender = trace["recipient"].decode(), trace["sender"].decode()
        return cls(recipient, sender, trace[0], octets[trace.end() :])


class Sendmail:
    """One instance; `with` starts and stops it."""

    def __init__(
        self,
        folder: Path,
        users: Iterable[str] = ("alice", "bob"),
        refusals: Mapping[str, str] | None = None,
        max_size: int | None = None,
        mode: str = "interactive",
        milter: int | None = None,
        submission: Path | None = None,
        popip: str | None = None,
        access: str | None = None,
    ) -> None:
        """`refusals` is address to reply, as in `{"full@test.example": "4.2.2:452 Mailbox full"}`; `max_size` is in
        octets, `mode` is sendmail's delivery mode, `milter` the port of a filter on 127.0.0.1. With `submission`, a
        folder with server.pem, server.key and Cyrus SASL's Sendmail.conf, it does STARTTLS and AUTH PLAIN itself.
        `popip` is a map of addresses that may relay, `access` the map of access_db instead of our own."""
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        programs.require("m4", "unshare", "hostname")
        programs.require_file(BINARY, "sendmail")
        programs.require_file(CONFIGURATION, "sendmail-cf")
        self._lay_out(users, refusals or {})
        self._configure(
            mode,
            TEST_MAX_SIZE=max_size,
            TEST_MILTER=milter,
            TEST_SUBMISSION=submission,
            POPIP_MAP=popip,
            TEST_POPIP=POPIP if popip else None,
            TEST_ACCESS=access,
        )

    @property
    def address(self) -> str:
        """For the relay's `address` in a configuration."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that all of it descends from."""
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, or start it again, on the same port."""
        # -bD stays in the foreground; -D and -d89.10 write into a file what would go to syslog.
        logging = ("-D", str(self.folder / "log"), "-d89.10")
        daemon = [str(self.folder / "sendmail"), *logging, "-C", str(self._configuration), "-bD", "-q1h"]
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*namespaces(), *daemon], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            wait_until_accepting(self.port, lambda: self._process is not None and self._process.poll() is None)
        except TimeoutError as error:
            self.stop()
            raise RuntimeError(
                f"sendmail did not come up:\n{(self.folder / 'output').read_text()}{self.log()}"
            ) from error

    def stop(self) -> None:
        """End it and its sessions, at once."""
        if self._process is None:
            return
        # The first process of a PID namespace takes all others with it, and unshare ends after it.
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do without it for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def deliveries(self) -> list[Delivery]:
        """All that was delivered, the oldest first."""
        files = sorted((self.folder / "mail").glob("[!.]*"), key=lambda path: path.stat().st_mtime_ns)
        return [Delivery.parse(path.read_bytes()) for path in files]

    def forget(self) -> None:
        """Throw away what was delivered so far."""
        for path in (self.folder / "mail").iterdir():
            path.unlink()

    def log(self) -> str:
        """What sendmail would have told syslog."""
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _lay_out(self, users: Iterable[str], refusals: Mapping[str, str]) -> None:
        self.folder.mkdir(mode=0o755, exist_ok=True)
        (self.folder / "queue").mkdir(mode=0o700)
        (self.folder / "mail").mkdir(mode=0o700)
        shutil.copyfile(BINARY, self.folder / "sendmail")
        (self.folder / "sendmail").chmod(0o755)
        texts = {
            "deliver": DELIVER,
            "service.switch": "hosts files\naliases files\npasswd files\n",
            "hosts": "127.0.0.1 localhost mx.test.example test.example\n",
            "users": "".join(f"{user}\n" for user in ("postmaster", "mailer-daemon", *users)),
            "access": "".join(f"To:{address}|ERROR:{reply}\n" for address, reply in refusals.items()),
            "aliases": "",
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o640)

    def _configure(self, mode: str, **options: object) -> None:
        definitions: dict[str, object] = {
            "TEST_FOLDER": self.folder,
            "TEST_PORT": self.port,
            "TEST_MODE": mode,
            "TEST_OWNER": pwd.getpwuid(os.getuid()).pw_name,
            "TEST_USER_ID": os.getuid(),
            "TEST_GROUP_ID": os.getgid(),
            "_CF_DIR_": f"{CONFIGURATION}/",
            **{name: value for name, value in options.items() if value is not None},
        }
        source = Path(__file__).with_name("sendmail.mc")
        arguments = [f"-D{name}={value}" for name, value in definitions.items()]
        self._configuration.write_bytes(_run(["m4", f"-I{CONFIGURATION}", *arguments, str(source)], self.folder))
        self._configuration.chmod(0o644)
        # The aliases are a database, which -bi makes.
        _run([*namespaces(), str(self.folder / "sendmail"), "-C", str(self._configuration), "-bi"], self.folder)

    @property
    def _configuration(self) -> Path:
        return self.folder / "sendmail.cf"


def namespaces() -> list[str]:
    """The command that what follows it runs under. What isn't root's needs a user namespace for the same."""
    as_user = [] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"]
    return ["unshare", *as_user, "--uts", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _SET_UP, "sh"]


def _run(command: list[str], folder: Path) -> bytes:
    result = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode:
        raise RuntimeError(f"{command[0]} failed: {(result.stderr + result.stdout).decode('utf-8', 'replace')}")
    return result.stdout
