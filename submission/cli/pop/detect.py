"""`submission pop detect`: which servers' logins a log holds, for who has to name them in the configuration."""

from __future__ import annotations

import contextlib
import gzip
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import click
from rich.console import Console
from rich.progress import Progress

from submission.cli.pop.test import bounded_lines, own_patterns
from submission.cli.tables import print_table, printable
from submission.config.text import shown
from submission.core.poplog.pattern import Pattern
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS

_GZIP = b"\x1f\x8b"
_STEP = 1000
"""Lines between two looks at how far it is."""


@click.command()
@own_patterns
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def detect(patterns: list[Pattern], files: tuple[Path, ...]) -> None:
    """Say which servers' logins a log holds.

    Proposes `formats` for the configuration. Files may be compressed by gzip. Formats are printed with the number of
    their logins, the most frequent first. Exits with 1 if there are none.
    """
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for file in files:
            try:
                _count(file, Reader(FORMATS.values(), patterns), counts, progress)
            except (OSError, EOFError, zlib.error) as error:
                reason = getattr(error, "strerror", None) or "is damaged"
                raise click.ClickException(f"{printable(str(file))}: {reason}") from None
    if not counts:
        raise click.ClickException("no logins found; docs/pop-before-smtp.md says what can't count, and why")
    found = [(name, str(number)) for name, number in counts.most_common()]
    print_table(("Format", "Logins"), found)
    names = [name for name, _ in found if name in FORMATS]
    click.echo(f"formats = {shown(names)}")
    for warning in _warnings(names):
        click.echo(f"warning: {warning}", err=True)


def _count(file: Path, reader: Reader, counts: Counter[str], progress: Progress) -> None:
    """Add the logins of one file to the counts."""
    with file.open("rb") as raw, _unpacked(raw) as stream:
        task = progress.add_task(printable(file.name), total=max(file.stat().st_size, 1))
        for number, line in enumerate(bounded_lines(stream)):
            login = reader.feed(line, time.time())
            if login is not None:
                counts[login.server] += 1
            if number % _STEP == 0:
                progress.update(task, completed=raw.tell())
        progress.remove_task(task)


@contextlib.contextmanager
def _unpacked(raw: BinaryIO) -> Iterator[BinaryIO]:
    """What the file holds, unpacked if need be."""
    is_packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    if not is_packed:
        yield raw
        return
    with gzip.open(raw) as stream:
        yield cast("BinaryIO", stream)


def _warnings(names: list[str]) -> Iterator[str]:
    for name in names:
        if FORMATS[name].caution:
            yield f"{name}: {FORMATS[name].caution}"
    if len(names) > 1:
        yield "every further format widens what can be forged; name only those of servers that run here"
