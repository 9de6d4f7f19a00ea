"""A machine within the machine, for daemons that insist on their places: root, port 110, /etc/passwd, /dev/log.

It has all files of this one, and packages unpacked over them without being installed, for Debian lets a machine have
one POP server only. What is written stays in it. Its processes end with it. Wants root.

Its network is that of whoever starts it: `private_network` gives the tests one of their own, with addresses that
aren't loopback's for clients to come from.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.support import programs
from tests.support.network import PATIENCE

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET; os.unshare comes with Python 3.12
_libc = ctypes.CDLL(None, use_errno=True)

# Called with FOLDER PACKAGES. The folder has the same name inside.
SET_UP = """
set -e
mount -t tmpfs tmpfs "$1/machine"
cd "$1/machine"
mkdir upper work root
[ "$2" = / ] || for folder in etc usr var; do
  [ ! -d "$2/$folder" ] || cp -a "$2/$folder" upper
done
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev
for device in null zero full random urandom; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
ln -s "$1/dev-log" dev/log
ln -s /proc/self/fd dev/fd
mkdir -p ".$1"
mount --bind "$1" ".$1"
echo "auth required pam_unix.so nodelay" > etc/pam.d/common-auth
exec chroot . bash -c "echo ready; sleep infinity & wait"  # and buries whoever is left behind
"""


class Machine:
    """One machine; `with` starts and ends it. What its daemons say to /dev/log goes to the socket `log`."""

    def __init__(self, folder: Path, packages: Path = Path("/")) -> None:
        """`packages` is where the packages were unpacked that it has and this machine hasn't."""
        _require_root()
        programs.require("unshare", "nsenter", "useradd", "openssl")
        self.log = folder / "dev-log"
        self._folder = folder
        self._packages = packages
        self._process: subprocess.Popen[str] | None = None
        self._first = 0

    def __enter__(self) -> Self:
        (self._folder / "machine").mkdir()
        namespaces = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [*namespaces, "sh", "-c", SET_UP, "sh", str(self._folder), str(self._packages)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the machine could not be set up")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self._first = int(children.read_text())
        if self.path("/").samefile("/"):  # then a command would be run on this machine itself
            raise RuntimeError("the machine has not changed its root")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            os.kill(self._first, signal.SIGKILL)  # which takes all others with it, and unshare ends after it
            self._process.communicate(timeout=PATIENCE)

    def command(self, *words: str) -> list[str]:
        """What runs a command in there."""
        return ["nsenter", f"--target={self._first}", "--mount", "--uts", "--pid", "--root", "--wdns=/", *words]

    def run(self, *words: str) -> None:
        """Run a command until it ends, or has become a daemon."""
        subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE)

    def path(self, name: str) -> Path:
        """Where a file of its is, seen from here."""
        return Path(f"/proc/{self._first}/root{name}")

    def show(self, folder: Path) -> None:
        """Have a folder there that this machine has, on whatever file system."""
        inside = self._folder / "machine/root" / folder.relative_to("/")
        if not self.path(str(folder)).exists():
            self.path(str(folder)).mkdir(parents=True)
            mount = ["mount", "--rbind", str(folder), str(inside)]
            subprocess.run(["nsenter", f"--target={self._first}", "--mount", *mount], check=True, timeout=PATIENCE)

    def add_user(self, name: str, password: str) -> None:
        """A user with a home, an empty Maildir there, and an empty mailbox."""
        digest = subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True)
        self.run("useradd", "--create-home", "--password", digest.stdout.strip(), name)
        for part in ("cur", "new", "tmp"):
            self.path(f"/home/{name}/Maildir/{part}").mkdir(parents=True)
        self.path(f"/var/mail/{name}").touch(mode=0o600)
        self.run("chown", "--recursive", f"{name}:{name}", f"/home/{name}", f"/var/mail/{name}")


@contextmanager
def private_network(addresses: Sequence[str]) -> Iterator[None]:
    """This thread, and whatever it starts, in a network of its own: loopback and these addresses, nothing else."""
    _require_root()
    programs.require("ip")
    with Path("/proc/thread-self/ns/net").open() as before:
        if _libc.unshare(_NEW_NETWORK):
            programs.do_without("a network of its own", f"is refused: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            for address in addresses:
                options = ["nodad"] if ":" in address else []
                subprocess.run(["ip", "address", "add", address, "dev", "lo", *options], check=True)
            yield
        finally:
            _check(_libc.setns(before.fileno(), _NEW_NETWORK))


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """This thread, and whatever it starts, in the network that a process is in."""
    with Path("/proc/thread-self/ns/net").open() as before, Path(f"/proc/{pid}/ns/net").open() as there:
        _check(_libc.setns(there.fileno(), _NEW_NETWORK))
        try:
            yield
        finally:
            _check(_libc.setns(before.fileno(), _NEW_NETWORK))


def _require_root() -> None:
    if os.geteuid() != 0:
        programs.do_without("root", "is wanted for a machine or a network of its own")


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
