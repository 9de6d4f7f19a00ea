"""A mail host for a day, mail.example.com, and a client's machine beside it: where documents are followed (walk.py).

The host is a machine within the machine (machine.py): what is written to /etc, /var and all other places is gone
afterwards. Its network is its own, with all ports free, and the only other machine in it is the client's, 192.0.2.50.
Names are those of /etc/hosts, and nobody else is asked.

The product is installed as README.md installs it, in /opt/submission, but for pip: its code is this checkout's. No
systemd runs there; `systemctl` and `journalctl` are stand-ins (stand_ins/), which start the very process that a unit
names, as the user that it names.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import programs
from tests.support.machine import Machine, network_of, private_network
from tests.support.network import PATIENCE

NAME = "mail.example.com"
ADDRESS = "192.0.2.1"
CLIENT = "192.0.2.50"
NOBODY = "192.0.2.99"
"""The address of example.org, where mail goes and nobody answers."""
_ENVIRONMENT = (
    "env",
    "-i",
    "HOME=/root",
    "LANG=C.UTF-8",
    "TERM=dumb",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)

_REPOSITORY = Path(__file__).parents[2]
_STAND_INS = Path(__file__).with_name("stand_ins")

# Called with REPOSITORY PREFIX PYTHON STAND_INS NAME ADDRESS NOBODY.
_SET_UP = """
set -e
umask 022
hostname "$5"
printf '127.0.0.1 localhost\\n%s %s mail\\n%s example.org\\n' "$6" "$5" "$7" > /etc/hosts
rm -f /etc/resolv.conf
printf 'nameserver 127.0.0.1\\noptions attempts:1 timeout:1\\n' > /etc/resolv.conf
for database in passwd group shadow hosts services protocols; do
  echo "$database: files"
done > /etc/nsswitch.conf
for path in "$1" "$2" "$3"; do                  # maybe below somebody's home
  while [ "$path" != / ]; do
    path=$(dirname "$path")
    chmod o+x "$path"
  done
done
mkdir -p /opt/submission/bin /opt/submission/share
cp "$2/pyvenv.cfg" /opt/submission
ln -s "$2/lib" /opt/submission/lib
ln -s "$3" /opt/submission/bin/python
cp -r "$1/contrib" /opt/submission/share/submission
for command in submission submission-passwd; do
  sed '1s,.*,#!/opt/submission/bin/python,' "$2/bin/$command" > "/opt/submission/bin/$command"
  chmod 755 "/opt/submission/bin/$command"
done
ln -s /opt/submission/bin/submission /opt/submission/bin/submission-passwd /usr/local/bin
for command in systemctl journalctl; do
  printf '#!/bin/sh\\nexec %s %s/%s.py "$@"\\n' "$3" "$4" "$command" > "/usr/local/sbin/$command"
  chmod 755 "/usr/local/sbin/$command"
done
"""


@dataclass(frozen=True, slots=True)
class Host:
    """One that runs, and the client's machine."""

    machine: Machine
    client: int
    """A process in the client's network."""
    folder: Path
    """Where the host keeps its outside, such as the socket behind its /dev/log; of the same name inside."""

    def run(self, script: str, *, stdin: str | None = None, from_client: bool = False) -> Result:
        """What root of the host, or somebody at the client's machine, gets for a few lines of shell."""
        there = ["nsenter", f"--net=/proc/{self.client}/ns/net"] if from_client else []
        output = self.folder / "output"
        with output.open("w+b") as file:  # no pipe: daemons would hold it open
            process = subprocess.run(
                [*there, *self.machine.command(*_ENVIRONMENT, "bash", "-c", script)],
                input=stdin.encode() if stdin is not None else None,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=file,
                stderr=file,
                timeout=3 * PATIENCE,
            )
        return Result(process.returncode, output.read_text("utf-8", "replace"))

    def do(self, script: str, *, stdin: str | None = None) -> str:
        """What root gets for it, who is content with no failure."""
        result = self.run(f"set -e; {script}", stdin=stdin)
        if result.status:
            raise RuntimeError(f"{script}\nended with {result.status}:\n{result.output}")
        return result.output

    def start(self, script: str, *, output: Path) -> subprocess.Popen[bytes]:
        """Begin what stays in the foreground; the script ends with `exec` of it, so that it is what `end` ends."""
        with output.open("wb") as file:
            command = self.machine.command(*_ENVIRONMENT, "bash", "-c", script)
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def make_certificate(self) -> None:
        """Key and certificate in /etc/ssl/mail.example.com, as an authority's client leaves them, of no authority."""
        self.do(
            f"install -d -m 0700 /etc/ssl/{NAME}; cd /etc/ssl/{NAME}; umask 077;"
            " openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
            f" -keyout privkey.pem -out fullchain.pem -subj /CN={NAME} -addext subjectAltName=DNS:{NAME};"
            " chmod 644 fullchain.pem"
        )

    def path(self, name: str) -> Path:
        """Where a file of the host's is, seen from here."""
        return self.machine.path(name)

    @contextmanager
    def from_client(self) -> Iterator[None]:
        """This thread's connections come from the client's machine."""
        with network_of(self.client):
            yield


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask what was started to end, and wait."""
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(pid), signal.SIGTERM)  # nsenter has a child to be in there, and passes nothing on
    process.wait(2 * PATIENCE)


@dataclass(frozen=True, slots=True)
class Result:
    """What a command ended with, and all that it printed."""

    status: int
    output: str


@contextmanager
def host(folder: Path, packages: Path = Path("/")) -> Iterator[Host]:
    """Set one up for as long as the context lasts; `packages` are unpacked over its files (machine.py)."""
    with ExitStack() as stack:
        stack.enter_context(private_network([]))
        client = stack.enter_context(_another_machine())
        machine = stack.enter_context(Machine(folder, packages))
        there = Host(machine, client, folder)
        for place in (_REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)):
            machine.show(place)
        python = Path(sys.executable).resolve()
        arguments = (_REPOSITORY, sys.prefix, python, _STAND_INS, NAME, ADDRESS, NOBODY)
        machine.run("bash", "-c", _SET_UP, "bash", *map(str, arguments))
        yield there


@contextmanager
def _another_machine() -> Iterator[int]:
    """A network with the client's address in it, joined to this thread's by a wire."""
    programs.require("ip", "unshare", "nsenter")
    command = ["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            inside = ("nsenter", f"--net=/proc/{process.pid}/ns/net")
            try:
                _ip("link", "add", "client", "type", "veth", "peer", "name", "host", "netns", str(process.pid))
            except subprocess.CalledProcessError:
                programs.do_without("a wire between two networks", "can't be had of this kernel")
            for within, device, address in (((), "client", ADDRESS), (inside, "host", CLIENT)):
                _ip("address", "add", f"{address}/24", "dev", device, within=within)
                _ip("link", "set", device, "up", within=within)
            _ip("link", "set", "lo", "up", within=inside)
            yield process.pid
        finally:
            process.kill()


def _ip(*words: str, within: Sequence[str] = ()) -> None:
    subprocess.run([*within, "ip", *words], check=True, timeout=PATIENCE)
