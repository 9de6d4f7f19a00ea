import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.popwatch.syslog import SyslogSocket, bind_syslog, syslog_address
from tests.support.network import free_port


def send(log: str, *datagrams: bytes) -> None:
    address = syslog_address(log)
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, str(address) if isinstance(address, Path) else address)


@contextlib.contextmanager
def bound(log: str) -> Iterator[socket.socket]:
    with contextlib.closing(bind_syslog(log)) as sock:
        yield sock


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_each_datagram_is_a_line(kind: str, tmp_path: Path) -> None:
    log = f"syslog:{tmp_path}/log" if kind == "unix" else f"syslog:127.0.0.1:{free_port()}"
    with bound(log) as sock:
        source = SyslogSocket(log, sock)
        assert source.read() is None
        send(log, b"<22>Nov 21 10:00:00 dovecot: one\n", b"two\0", b"", b"three\nforged: four")
        batch = source.read()
        assert batch is not None
        assert batch.lines == [b"<22>Nov 21 10:00:00 dovecot: one", b"two"]
        assert (batch.source, batch.position, batch.is_live) == (log, "", True)
        assert source.read() is None


def test_what_is_sent_while_nobody_reads_waits(tmp_path: Path) -> None:
    log = f"syslog:{tmp_path}/log"
    with bound(log) as sock:
        SyslogSocket(log, sock).close()
        send(log, b"one", b"two")
        assert [batch.lines for batch in SyslogSocket(log, sock).rest()] == [[b"one", b"two"]]


def test_a_socket_that_was_left_behind_is_no_trouble(tmp_path: Path) -> None:
    log = f"syslog:{tmp_path}/log"
    with bound(log):
        pass
    with bound(log) as sock:
        send(log, b"one")
        batch = SyslogSocket(log, sock).read()
    assert batch is not None
    assert batch.lines == [b"one"]


def test_a_file_at_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("precious")
    with pytest.raises(OSError, match="in use"):
        bind_syslog(f"syslog:{tmp_path}/log")
    assert (tmp_path / "log").read_text() == "precious"
