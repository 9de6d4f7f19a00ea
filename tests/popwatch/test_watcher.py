import os
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

from submission.popwatch.syslog import bind_syslog
from submission.popwatch.watcher import Watcher


def test_all_sources_are_heard_soon_and_a_restart_goes_on_behind(tmp_path: Path) -> None:
    one, two, log = tmp_path / "one.log", tmp_path / "two.log", tmp_path / "socket"
    one.write_text("first\n")
    sources = [f"{tmp_path}/*.log", f"syslog:{log}"]
    sockets = {sources[1]: bind_syslog(sources[1])}
    watcher = Watcher(sources, {}, sockets)
    batches = watcher.batches(threading.Event())
    seen: dict[str, list[object]] = {}
    positions: dict[str, str] = {}

    def until(source: str, line: bytes) -> float:
        begin = time.monotonic()
        while line not in seen.get(source, []):
            batch = next(batches)
            seen.setdefault(batch.source, []).extend(batch.lines)
            positions[batch.source] = batch.position
        return time.monotonic() - begin

    until(str(one), b"first")
    with one.open("a") as file:
        file.write("second\n")
    assert until(str(one), b"second") < 2  # a tenth of a second, on a machine that does nothing else
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"third", str(log))
    until(f"syslog:{log}", b"third")
    batches.close()
    watcher.close()
    with one.open("a") as file:
        file.write("fourth\n")
    two.write_text("fifth\n")
    seen.clear()
    watcher = Watcher(sources, positions, sockets)
    batches = watcher.batches(threading.Event())
    until(str(one), b"fourth")
    until(str(two), b"fifth")
    assert seen[str(one)] == [b"fourth"]
    batches.close()
    watcher.close()
    sockets[sources[1]].close()


def test_a_name_with_wildcards_that_finds_rotated_files_too_reads_them_once(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("one\n")
    (tmp_path / "mail.log.1").write_text("of last week\n")
    os.utime(tmp_path / "mail.log.1", (0, 0))
    (tmp_path / "mail.err").write_text("an error\n")
    positions: dict[str, str] = {}

    def read_all() -> list[object]:
        stop = threading.Event()
        watcher = Watcher([f"{tmp_path}/mail*"], positions)
        lines: list[object] = []
        threading.Timer(0.5, stop.set).start()
        for batch in watcher.batches(stop):
            positions[batch.source] = batch.position
            lines += batch.lines
        watcher.close()
        return sorted(lines)  # type: ignore[type-var]

    assert read_all() == [b"an error", b"one"]
    log.rename(tmp_path / "mail.log.2")
    assert read_all() == []
    log.write_text("two\n")
    assert read_all() == [b"two"]
    assert set(positions) == {str(log), str(tmp_path / "mail.err")}


def test_what_was_sent_to_the_syslog_socket_before_the_end_is_heard(tmp_path: Path) -> None:
    log, stop = f"syslog:{tmp_path}/socket", threading.Event()
    with closing(bind_syslog(log)) as sock, closing(Watcher([log], {}, {log: sock})) as watcher:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"one", f"{tmp_path}/socket")
        stop.set()
        assert [batch.lines for batch in watcher.batches(stop)] == [[b"one"]]
