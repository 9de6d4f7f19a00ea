"""The service itself, as a user would run it: `submission serve` in a process of its own, with a configuration file.

It has a listener of each kind ("none", "starttls", "implicit", and two of them for balancers only, which say who the
client is by a PROXY header) on a free port of 127.0.0.1, certificates that
`Server.client_context` trusts, and accounts made with submission-passwd. Where the tests run as root it becomes
nobody, so its folder is one that nobody may use.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from submission.certificates import write_certificates
from tests.support.network import PATIENCE, free_ports

REALM = "example.com"
HOSTNAME = "mail.example.com"
KINDS = ("none", "starttls", "implicit")
BALANCED_KINDS = ("balanced-starttls", "balanced-implicit")
BALANCERS = "127.0.0.1"
"""Where they are: whoever connects from another address of the loopback network is none."""
USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

Settings = Mapping[str, object]
"""Tables and keys as in the configuration file: `{"limits": {"recipients": 2}}`."""


class Server:
    """One instance; `with` starts and stops it."""

    def __init__(
        self, folder: Path, relay: str, settings: Settings | None = None, launcher: Sequence[str] = ()
    ) -> None:
        """`relay` is an address as in the configuration; `settings` adds to the defaults or replaces them.

        `launcher` is a command that ends in executing what follows it.
        """
        self.folder = folder
        kinds = KINDS + BALANCED_KINDS
        self.ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
        self.configuration = folder / "submission.toml"
        self.options: Sequence[str] = ()
        """Further words behind `submission serve`."""
        self._launcher = launcher
        self._log = folder / "log"
        self._process: subprocess.Popen[str] | None = None
        (folder / "state").mkdir(mode=0o700)
        write_certificates(folder, ["localhost", "127.0.0.1", HOSTNAME])
        self._table = _merge(self._defaults(relay), settings or {})
        self.configure({})
        self._give_away()

    def configure(self, changes: Settings) -> None:
        """Write the configuration with these changes against that of the beginning."""
        self.configuration.write_text(_toml(_merge(self._table, changes)))

    def listener(self, kind: str, port: int | None = None) -> Settings:
        """The table of a listener, as it is unless told."""
        return _listener(kind, port or self.ports[kind])

    @property
    def certificate_authority(self) -> Path:
        """The file that clients have to trust."""
        return self.folder / "ca.pem"

    def client_context(self, certificate: Path | None = None) -> ssl.SSLContext:
        """TLS for a client that trusts the service and nobody else, and shows this certificate if it has one."""
        context = ssl.create_default_context(cafile=self.certificate_authority)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def connect(self, kind: str, source: str = "127.0.0.1", certificate: Path | None = None) -> socket.socket:
        """A connection from a loopback address, encrypted where the listener's kind is "implicit"."""
        host = "::1" if ":" in source else "127.0.0.1"
        bound = (source, 0) if source != host else None
        sock = socket.create_connection((host, self.ports[kind]), PATIENCE, bound)
        return self.encrypt(sock, certificate) if kind == "implicit" else sock

    def encrypt(self, sock: socket.socket, certificate: Path | None = None) -> ssl.SSLSocket:
        """Shake hands for TLS as a client."""
        try:
            return self.client_context(certificate).wrap_socket(sock, server_hostname=HOSTNAME)
        except OSError:
            sock.close()
            raise

    def add_user(self, user: str, password: str) -> None:
        """Make an account as an admin does it."""
        program = [sys.executable, "-c", "import sys; from submission.cli.passwd import main; sys.exit(main())"]
        options = ["-c", "-p", "-u", REALM, "-C", str(self.configuration)]
        result = subprocess.run([*program, *options, user], input=password, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"submission-passwd failed: {result.stderr}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        serve = [sys.executable, "-m", "submission", "serve", "-c", str(self.configuration), *self.options]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*self._launcher, *serve], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        if not self._is_ready(self._process):
            self.stop()
            raise RuntimeError(f"the service did not become ready:\n{self._log.read_text()}")

    @property
    def pid(self) -> int:
        """The process that was started, which supervises the others."""
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    def workers(self) -> list[int]:
        """The processes that serve clients now."""
        return _children(self.pid)

    def stop(self) -> int:
        """Ask it to end, as an init system does, and wait; its exit code. One that doesn't end is a failure."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def hang_up(self) -> None:
        """Tell it that there is something to read anew."""
        if self._process is None:
            raise RuntimeError("it does not run")
        self._process.send_signal(signal.SIGHUP)

    def log(self, event: str = "") -> list[str]:
        """The lines that it has logged, or those about one event."""
        text = self._log.read_text() if self._log.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line may be half written
        return [line for line in whole.splitlines() if f"event={event}" in line]

    def peak_memory(self) -> int:
        """The most octets that its processes had resident so far, added up (Linux's VmHWM)."""
        return sum(map(_peak, (self.pid, *self.workers())))

    def _defaults(self, relay: str) -> Settings:
        return {
            "hostname": HOSTNAME,
            "state_dir": "state",
            "user": USER,
            "workers": 1,
            "listen": [_listener(kind, port) for kind, port in self.ports.items()],
            "tls": {"certificate": "server.pem", "key": "server.key"},
            "auth": {"realm": REALM, "exempt": ["127.0.0.0/8"]},
            "relay": {"address": relay},
            "metrics": {"address": ""},
        }

    def _give_away(self) -> None:
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, USER)

    @staticmethod
    def _is_ready(process: subprocess.Popen[str]) -> bool:
        """Whether it says so before patience ends; a timer ends its output where it doesn't."""
        if process.stdout is None:
            raise RuntimeError("its output is not a pipe")
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            return any(line.strip() == "ready" for line in iter(process.stdout.readline, ""))
        finally:
            timer.cancel()


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own, for programs that give up being root."""
    with tempfile.TemporaryDirectory(prefix="submission-tests-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _listener(kind: str, port: int) -> Settings:
    balancers = [BALANCERS] if kind in BALANCED_KINDS else []
    tls = kind.removeprefix("balanced-")
    return {"address": f"127.0.0.1:{port}", "tls": tls, "proxy_protocol": balancers}


def _merge(table: Settings, changes: Settings) -> dict[str, object]:
    merged = dict(table)
    for key, value in changes.items():
        before = merged.get(key)
        merged[key] = _merge(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged


def _toml(table: Settings, path: tuple[str, ...] = ()) -> str:
    """The table as TOML: strings, numbers, booleans and arrays are written as in JSON."""
    lines, below = [], []
    for key, value in table.items():
        header = ".".join((*path, key))
        if isinstance(value, Mapping):
            below += [f"[{header}]", _toml(value, (*path, key))]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            below += [line for item in value for line in (f"[[{header}]]", _toml(item, (*path, key)))]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*lines, *below]) + "\n"


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} tells no VmHWM")
