"""Starting programs, and stopping them whatever happens; building the two that are of C.

A program gets a session of its own, so that Ctrl-C at the terminal reaches the benchmark alone, which then stops what
it started, each by its process number.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.accounting import family
from tests.support.network import wait_until_accepting

HERE = Path(__file__).parent
BUILD = HERE / "build"

LONGEST = 600.0
"""Seconds that a command may take."""
PATIENCE = 15.0
"""Seconds that a program has to end in once it is told to."""
LAST_ORDERS = 1.0
"""Seconds that its children have after that."""


class ProgramError(Exception):
    """A program failed, with what it said."""


def run(command: Sequence[str | Path], text: str = "") -> str:
    """Run a command with `text` as its input; what it prints. Raises ProgramError."""
    try:
        result = subprocess.run(command, check=False, input=text, capture_output=True, text=True, timeout=LONGEST)
    except FileNotFoundError as error:
        raise ProgramError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{command[0]} takes more than {LONGEST:.0f} s") from error
    if result.returncode:
        raise ProgramError(f"{command[0]} failed ({result.returncode}): {(result.stderr or result.stdout).strip()}")
    return result.stdout


def package_version(package: str) -> str:
    """The version of an installed Debian package. Raises ProgramError."""
    return run(["dpkg-query", "--show", "--showformat=${Version}", package])


def build(name: str, *libraries: str) -> Path:
    """Compile NAME.c, if that has changed since the last time; the program. Raises ProgramError."""
    source, program = HERE / f"{name}.c", BUILD / name
    BUILD.mkdir(exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, source, *(f"-l{library}" for library in libraries)])
    return program


@contextmanager
def running(command: Sequence[str | Path], port: int, folder: Path) -> Iterator[int]:
    """Start a program that stays in the foreground, and wait until it accepts on `port`; its process number.

    What it prints goes to FOLDER/output. Raises ProgramError where it doesn't come up.
    """
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        try:
            wait_until_accepting(port, lambda: process.poll() is None)
        except TimeoutError as error:
            said = (folder / "output").read_text(errors="replace")
            raise ProgramError(f"{command[0]} did not come up: {said[-2000:]}") from error
        yield process.pid
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the program to end, then end what is left of it: most end their children themselves."""
    members = family(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    end = time.monotonic() + LAST_ORDERS
    while any(member.is_running() for member in members) and time.monotonic() < end:
        time.sleep(0.02)
    for member in members:
        if member.is_running():
            os.kill(member.pid, signal.SIGKILL)
    process.wait()
