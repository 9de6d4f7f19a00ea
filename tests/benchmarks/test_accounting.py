"""What the benchmarks charge to a program: all that it does, and what its children do and did."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.accounting import cpu_time, family, memory

# Says when it has done its work, and ends with its input.
WAIT = "print('done', flush=True); sys.stdin.read()"
BURN = "import time\nwhile time.process_time() < 0.2: pass\n"
HOLD = "held = bytearray(32 << 20)\n"


@contextmanager
def parent_of(child: str, wait: str) -> Iterator[int]:
    """A program that has started a child which runs `child`, and has done with it as `wait` says."""
    code = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {child!r}])\n{wait}\n"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def test_the_time_of_a_child_that_has_ended_stays_in_the_family() -> None:
    with parent_of(BURN, f"child.wait(); {WAIT}") as pid:
        assert len(family(pid)) == 1
        assert 0.2 <= cpu_time([pid]) < 2.0


def test_a_family_that_still_works_is_waited_for() -> None:
    with parent_of(f"print('done', flush=True)\n{BURN}import sys; sys.stdin.read()", "child.wait()") as pid:
        assert len(family(pid)) == 2
        assert 0.2 <= cpu_time([pid]) < 2.0


def test_the_memory_of_a_child_counts() -> None:
    child = f"{HOLD}print('done', flush=True); import sys; sys.stdin.read()"
    with parent_of(child, "child.wait()") as pid:
        assert 32 << 10 <= memory(pid) < 128 << 10
