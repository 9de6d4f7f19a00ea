"""Runs a target under libFuzzer: `python -m fuzz TARGET SECONDS`.

Inputs gather in build/fuzz/TARGET; afterwards the fewest that lead everywhere are kept in corpus/. One that breaks an
invariant ends the run with status 77 and lies in build/fuzz as TARGET-crash-...
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz import corpus
from fuzz.targets import NAMES, load

_FOLDER = Path("build") / "fuzz"
_MAX_INPUT = 4096
"""Octets, unless a target's seeds are longer."""
_TIMEOUT = 10
"""Seconds of one input."""


def main() -> int:
    """Run what the command line says; the exit status is libFuzzer's."""
    match sys.argv[1:]:
        case [name, seconds] if name in NAMES and seconds.isdigit():
            return _fuzz(name, int(seconds))
        case ["--libfuzzer", name, *_]:
            _become(name)
    print(f"usage: python -m fuzz {'|'.join(NAMES)} SECONDS", file=sys.stderr)
    return 2


def _fuzz(name: str, seconds: int) -> int:
    folder = _FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [*load(name).seeds(), *corpus.read(name)]
    for octets in seeds:
        (folder / hashlib.sha1(octets, usedforsecurity=False).hexdigest()).write_bytes(octets)
    longest = max(_MAX_INPUT, *map(len, seeds))
    options = (f"-max_len={longest}", "-print_final_stats=1", f"-artifact_prefix={_FOLDER}/{name}-")
    status = _run(name, f"-max_total_time={seconds}", *options, str(folder))
    with tempfile.TemporaryDirectory() as merged:
        if status == 0 and _run(name, "-merge=1", merged, str(folder)) == 0:
            corpus.write(name, (file.read_bytes() for file in Path(merged).iterdir()))
    return status


def _run(name: str, *arguments: str) -> int:
    """Run libFuzzer in a process of its own, for it ends the one that it runs in."""
    command = [sys.executable, "-m", "fuzz", "--libfuzzer", name, f"-timeout={_TIMEOUT}"]
    with tempfile.TemporaryDirectory() as scratch:  # which it doesn't tidy up
        environment = os.environ | {"TMPDIR": scratch}
        return subprocess.run([*command, *arguments], env=environment, check=False).returncode


def _become(name: str) -> None:
    try:
        import atheris  # here, for it is in a group of its own
    except ModuleNotFoundError:
        sys.exit("atheris is not installed: there are wheels for Linux on x86-64 only")
    with atheris.instrument_imports(include=["submission"]):
        target = load(name)
    # A merge starts the program again, in a shell and by the name that it was started by.
    program = shlex.join((sys.executable, *sys.orig_argv[1:3], *sys.argv[1:3]))
    atheris.Setup([program, *sys.argv[3:]], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
