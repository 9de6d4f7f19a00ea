"""Real POP and IMAP servers beside Dovecot, as Debian starts them, in a machine of their own (machine.py).

They know one user, log by /dev/log, and serve the ports of POP and IMAP. Each is a context manager, the protocols that
it serves are what it gives.
"""

from __future__ import annotations

import imaplib
import os
import poplib
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support import programs
from tests.support.dovecot import configure
from tests.support.machine import Machine
from tests.support.network import PATIENCE, wait_until_accepting

PACKAGES = Path(os.environ.get("POP_SERVERS_ROOT", "/"))
"""Where popa3d, courier-pop, courier-imap and mailutils are unpacked."""
PORTS = {"pop3": 110, "imap": 143}
_TCPD = ("bash", "-c", 'exec -a "$0" tcpd "$@"')
"""Is told by its name what to run."""


@contextmanager
def courier(machine: Machine) -> Iterator[Mapping[str, int]]:
    """Courier, both protocols; its authentication daemon asks PAM."""
    programs.require_file(PACKAGES / "usr/lib/courier/pop3d", "courier-pop")
    programs.require_file(PACKAGES / "usr/lib/courier/imapd", "courier-imap")
    machine.run("useradd", "--system", "courier")
    machine.run("install", "--directory", "--owner=courier", "/run/courier/authdaemon")
    machine.path("/etc/courier/imapaccess.dat").touch()
    for program in ("/usr/sbin/authdaemond", "/usr/lib/courier/pop3d", "/usr/lib/courier/imapd"):
        machine.run(program, "start")
    yield _accepting(PORTS)


@contextmanager
def popa3d(machine: Machine) -> Iterator[Mapping[str, int]]:
    """popa3d by itself, for IPv4 only."""
    _lay_out_popa3d(machine)
    machine.run("popa3d", "-D")
    yield _accepting({"pop3": PORTS["pop3"]})


@contextmanager
def popa3d_by_inetd(machine: Machine) -> Iterator[Mapping[str, int]]:
    """popa3d for each connection, by way of tcpd."""
    _lay_out_popa3d(machine)
    with _inetd(machine, {"pop3": ["/usr/sbin/popa3d"]}) as ports:
        yield ports


@contextmanager
def mailutils(machine: Machine) -> Iterator[Mapping[str, int]]:
    """GNU Mailutils' pop3d and imap4d for each connection, by way of tcpd."""
    programs.require_file(PACKAGES / "usr/sbin/pop3d", "mailutils-pop3d")
    programs.require_file(PACKAGES / "usr/sbin/imap4d", "mailutils-imap4d")
    commands = {"pop3": ["/usr/sbin/pop3d", "--inetd"], "imap": ["/usr/sbin/imap4d", "--inetd"]}
    with _inetd(machine, commands) as ports:
        yield ports


@contextmanager
def dovecot_by_syslog(machine: Machine) -> Iterator[Mapping[str, int]]:
    """Dovecot, both protocols."""
    folder = machine.log.parent / "dovecot"
    folder.mkdir()
    folder.chmod(0o755)
    file, ports = configure(folder, listen="*, ::", log="syslog")
    machine.run("dovecot", "-c", str(file))
    yield _accepting(ports)


SERVERS = {
    "dovecot": dovecot_by_syslog,
    "courier": courier,
    "popa3d": popa3d,
    "popa3d by inetd": popa3d_by_inetd,
    "mailutils": mailutils,
}


def log_in(protocol: str, to: tuple[str, int], source: str, name: str, password: str) -> bool:
    """Whether the server lets a client in that comes from this address; it leaves again."""
    client = _Pop(to, source) if protocol == "pop3" else _Imap(to, source)
    try:
        if isinstance(client, _Pop):
            client.user(name)
            client.pass_(password)
            client.quit()
        else:
            client.login(name, password)
            client.logout()
    except (poplib.error_proto, imaplib.IMAP4.error):
        client.sock.close()
        return False
    return True


class _Pop(poplib.POP3):
    def __init__(self, to: tuple[str, int], source: str) -> None:
        self._source = source
        super().__init__(*to, timeout=PATIENCE)

    def _create_socket(self, timeout: float) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout, (self._source, 0))


class _Imap(imaplib.IMAP4):
    def __init__(self, to: tuple[str, int], source: str) -> None:
        self._source = source
        super().__init__(*to, timeout=PATIENCE)

    def _create_socket(self, timeout: float) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout, (self._source, 0))


def _lay_out_popa3d(machine: Machine) -> None:
    programs.require_file(PACKAGES / "usr/sbin/popa3d", "popa3d")
    machine.run("useradd", "--system", "popa3d")


def _accepting(ports: Mapping[str, int]) -> Mapping[str, int]:
    for port in ports.values():
        wait_until_accepting(port, lambda: True)
    return ports


@contextmanager
def _inetd(machine: Machine, commands: Mapping[str, Sequence[str]]) -> Iterator[Mapping[str, int]]:
    """What inetd does with `stream tcp nowait root /usr/sbin/tcpd COMMAND`, for IPv4 and IPv6."""
    programs.require("tcpd")
    with ExitStack() as stack:
        for protocol, command in commands.items():
            server = stack.enter_context(_Inetd(machine.command(*_TCPD, *command), PORTS[protocol]))
            threading.Thread(target=server.serve_forever, args=(0.05,)).start()
            stack.callback(server.shutdown)
        yield {protocol: PORTS[protocol] for protocol in commands}


class _Inetd(socketserver.ThreadingTCPServer):
    """Gives each connection to a command, as its standard input and output."""

    address_family = socket.AF_INET6  # and IPv4, mapped
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, command: Sequence[str], port: int) -> None:
        super().__init__(("::", port), socketserver.BaseRequestHandler)
        self._command = command

    def finish_request(self, request: socket.socket, _: object) -> None:  # type: ignore[override]
        subprocess.run(self._command, stdin=request, stdout=request, stderr=subprocess.DEVNULL)
