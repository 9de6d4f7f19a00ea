"""`submission pop test`: what would follow from lines of a log, one by one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from submission.cli.tables import printable
from submission.config import load
from submission.core.poplog import PopLogin
from submission.core.poplog.format import Format
from submission.core.poplog.journal import MAX_JSON
from submission.core.poplog.pattern import Pattern
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS


def _chosen(_: click.Context, __: click.Parameter, names: str | None) -> list[Format]:
    """Formats by their names, apart by commas; all where there are none."""
    chosen = list(FORMATS) if names is None else [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in FORMATS:
            raise click.BadParameter(f"{printable(name)} is none of {', '.join(FORMATS)}")
    return [FORMATS[name] for name in dict.fromkeys(chosen)]


def _patterns(_: click.Context, __: click.Parameter, file: Path | None) -> list[Pattern]:
    """The configuration's own patterns, where one is named."""
    entries = load(file).pop_before_smtp.pattern if file is not None else ()
    return [Pattern(entry.name, entry.regex) for entry in entries]


own_patterns = click.option(
    "-c",
    "patterns",
    metavar="FILE",
    type=click.Path(path_type=Path),
    callback=_patterns,
    help="A configuration whose own patterns count too; none is read unless given.",
)
"""Decorates a command, which gets them as `patterns`."""


@click.command()
@own_patterns
@click.option("--formats", metavar="NAMES", callback=_chosen, help="Apart by commas; all unless given.")
def test(patterns: list[Pattern], formats: list[Format]) -> None:
    r"""Say of each line of a log what follows from it.

    Lines are read from standard input. What is printed for each is `user ip proto` where a grant follows, else `-`.
    Files of syslog daemons (RFC 3164, ISO 8601, RFC 5424), of journalctl -o json, and of servers themselves are
    understood. The user is printed as the server logged him, blanks and quotes included, so a program finds address and
    protocol from the line's end; what can't be printed is written as \xNN or the like. Lines whose session began on an
    earlier line need that line before them.

    What is tried is the text alone: a running server also refuses addresses of its own and those in `deny`.
    """
    reader = Reader(formats, patterns)
    output = sys.stdout.buffer
    for line in bounded_lines(sys.stdin.buffer):
        output.write(_shown(reader.feed(line, time.time())))
        output.flush()  # somebody may be typing


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream without their ends. One that is too long for any reader comes cut, and is refused there."""
    while line := stream.readline(MAX_JSON + 2):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_JSON)
        yield line.removesuffix(b"\n")


def _shown(login: PopLogin | None) -> bytes:
    if login is None:
        return b"-\n"
    return f"{printable(login.user)} {login.address} {login.proto}\n".encode("utf-8", "backslashreplace")
