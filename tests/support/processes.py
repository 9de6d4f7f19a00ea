"""Python scripts in processes of their own, held at a line until all of them are there, then let go at once.

A script loads what it needs and calls `print("ready", flush=True); input()`; what it prints after that is its answer.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.support.network import PATIENCE


def run_together(script: str, arguments: Sequence[Sequence[str]]) -> list[str]:
    """Run a script once for each list of arguments, all at the same time; what each printed."""
    with ExitStack() as stack:
        processes = [stack.enter_context(ready(script, *words)) for words in arguments]
        for process in processes:
            release(process)
        outputs = []
        for process in processes:
            output, _ = process.communicate(timeout=2 * PATIENCE)
            assert process.returncode == 0, output
            outputs.append(output)
        return outputs


@contextmanager
def ready(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A script that has said `ready`, and is killed in the end if it still runs."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert next_line(process) == "ready"
            yield process
        finally:
            process.kill()


def release(process: subprocess.Popen[str]) -> None:
    """Let a script go on that waits for a line."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line that a script prints, without its end; empty where it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
