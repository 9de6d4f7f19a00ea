import socket
from pathlib import Path

import pytest

from submission.popwatch.syslog import SyslogSocket


def send(address: object, *datagrams: bytes) -> None:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, address)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_each_datagram_is_a_line(kind: str, tmp_path: Path) -> None:
    source = SyslogSocket("syslog:x", tmp_path / "log" if kind == "unix" else ("127.0.0.1", 0))
    assert source.read() is None
    send(source.address, b"<22>Nov 21 10:00:00 dovecot: one\n", b"two\0", b"", b"three\nforged: four")
    batch = source.read()
    assert batch is not None
    assert batch.lines == [b"<22>Nov 21 10:00:00 dovecot: one", b"two"]
    assert (batch.source, batch.position, batch.is_live) == ("syslog:x", "", True)
    assert source.read() is None
    source.close()
    assert not (tmp_path / "log").exists()


def test_a_socket_that_was_left_behind_is_no_trouble(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(tmp_path / "log"))
    source = SyslogSocket("syslog:x", tmp_path / "log")
    send(source.address, b"one")
    batch = source.read()
    assert batch is not None
    assert batch.lines == [b"one"]
    source.close()


def test_a_file_at_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("precious")
    with pytest.raises(OSError, match="in use"):
        SyslogSocket("syslog:x", tmp_path / "log")
    assert (tmp_path / "log").read_text() == "precious"
