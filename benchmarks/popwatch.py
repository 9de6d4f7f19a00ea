"""python -m benchmarks.popwatch: what following logs costs, from the line in the file to the grant in the table.

A million lines as benchmarks.poplog has them, in a file that is followed from its start; then, of a file that is
written to now and then, how long a line waits and what the waiting costs; then a table of a hundred thousand grants.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from benchmarks.poplog import LINES, lines
from submission.core.grants import Grant, Grants
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from submission.popwatch.watcher import Watcher

GRANTS = 100_000
LOOKUPS = 200_000
WAITS = 50
IDLE = 20.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mail.log"
        _read_a_lot(path)
        _wait(path)
        _idle(path)
    _look_up()


def _read_a_lot(path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines())
    reader, count, logins, stop = Reader(FORMATS.values()), 0, 0, threading.Event()
    before, begin = _memory("VmHWM"), time.process_time()
    with closing(Watcher([str(path)], {})) as watcher:
        for batch in watcher.batches(stop):
            count += len(batch.lines)
            logins += sum(reader.feed(line, 1795234567.0) is not None for line in batch.lines)
            if count == LINES:
                stop.set()
    seconds = time.process_time() - begin
    grown = _memory("VmHWM") - before
    print(
        f"{count} lines from a file, {logins} logins: {count / seconds:,.0f} lines/s of CPU time, peak grew {grown} KiB"
    )


def _wait(path: Path) -> None:
    """How long a line stands in the file before its batch is there, at any moment of the watcher's."""
    path.write_bytes(b"")
    stop, written, waits = threading.Event(), [0.0], []

    def write() -> None:
        time.sleep(0.1 + int.from_bytes(os.urandom(2)) / 0x10000 / 5)  # at any moment between two looks
        with path.open("ab") as file:
            written[0] = time.perf_counter()
            file.write(b"a line\n")

    with closing(Watcher([str(path)], {})) as watcher:
        for batch in watcher.batches(stop):
            if batch.lines:
                waits.append(1000 * (time.perf_counter() - written[0]))
            if len(waits) == WAITS:
                stop.set()
            else:
                threading.Thread(target=write).start()
    print(f"{WAITS} lines waited {statistics.median(waits):.0f} ms in the median, {max(waits):.0f} ms at most")


def _idle(path: Path) -> None:
    stop = threading.Event()
    with closing(Watcher([str(path)], {})) as watcher:
        threading.Timer(IDLE, stop.set).start()
        begin = time.process_time()
        for _ in watcher.batches(stop):
            pass
    print(
        f"a file in which nothing happens: {(time.process_time() - begin) * 3600 / IDLE:.1f} s of CPU time in an hour"
    )


def _look_up() -> None:
    before = _memory("VmRSS")
    grants = Grants(GRANTS)
    for number in range(GRANTS):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        grants.put(Grant(address, f"user{number}@example.com", "imap", "dovecot", 0.0, 0.0, 1e10 + number, 1))
    grown = _memory("VmRSS") - before
    addresses = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(0, 2 * GRANTS, 7)]
    begin = time.process_time()
    for number in range(LOOKUPS):
        grants.find(addresses[number % len(addresses)], 1.0)
    each = (time.process_time() - begin) / LOOKUPS
    print(f"{GRANTS} grants: {grown / 1024:.0f} MiB, a lookup takes {1e6 * each:.2f} µs")


def _memory(field: str) -> int:
    """Of this process, in KiB."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
