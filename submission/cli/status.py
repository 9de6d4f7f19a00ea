"""`submission status`: how the running service stands, in the terminal; what the status page shows, as a table."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from submission.cli.options import configuration
from submission.cli.tables import make_table, moment, print_table, printable
from submission.config import load
from submission.config.settings import Metrics
from submission.metrics.server import TokenError, read_token

PERIOD = 5.0
"""Seconds between looks."""
TIMEOUT = 20.0
MAX_ANSWER = 4 << 20
MAX_ROWS = 10
"""Of each list, where the table refreshes and has to fit."""

_HEADER = ("What", "Which", "How")
_Row = tuple[str, str, str]


class _UnreachableError(click.ClickException):
    """Ends the command with EX_UNAVAILABLE."""

    exit_code = os.EX_UNAVAILABLE


@click.command()
@configuration
@click.option("--once", is_flag=True, help="Print it once, and exit with 1 if the service is not healthy.")
def status(file: Path, *, once: bool) -> None:
    """Show how the running service stands, until Ctrl-C.

    It is asked at metrics.address, which must not be empty. Where output is no terminal, it is printed once: lines with
    tabs between the columns.
    """
    metrics = load(file).metrics
    if once or not sys.stdout.isatty():
        found = _ask(metrics)
        print_table(_HEADER, _rows(found))
        sys.exit(0 if found["is_healthy"] else 1)
    with contextlib.suppress(KeyboardInterrupt), Live(console=Console(), auto_refresh=False) as live:
        while True:
            live.update(_screen(metrics), refresh=True)
            time.sleep(PERIOD)


def _screen(metrics: Metrics) -> RenderableType:
    try:
        return make_table(_HEADER, _rows(_ask(metrics), MAX_ROWS))
    except _UnreachableError as error:
        return Text(error.message)


def _ask(metrics: Metrics) -> dict[str, Any]:
    """What the service says. Raises _UnreachableError."""
    if metrics.address is None:
        raise _UnreachableError('metrics.address is "": the service tells nobody how it stands')
    literal = ip_address(metrics.address.host)
    host = str(literal) if not literal.is_unspecified else "127.0.0.1" if literal.version == 4 else "::1"
    connection = http.client.HTTPConnection(host, metrics.address.port, timeout=TIMEOUT)
    try:
        fields = {}
        if metrics.token_file is not None:
            fields["Authorization"] = f"Bearer {read_token(metrics.token_file)}"
        connection.request("GET", "/status.json", headers=fields)
        answer = connection.getresponse()
        body = answer.read(MAX_ANSWER)
        if answer.status != http.client.OK:
            raise _UnreachableError(f"{metrics.address} answers {answer.status}")
        found: dict[str, Any] = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError, TokenError) as error:
        raise _UnreachableError(printable(f"{metrics.address}: {error}")) from None
    finally:
        connection.close()
    return found


def _rows(found: dict[str, Any], most: int | None = None) -> Iterator[_Row]:
    """The table, with so many rows of each list."""
    for condition in found["health"]:
        good = f"ok, {condition['seconds'] * 1000:.0f} ms" if condition["name"] == "relay" else "ok"
        yield "health", condition["name"], condition["fault"] or good
    yield "sessions", "now", str(found["sessions"])
    for series in ("messages", "refusals", "failures"):
        for span, chart in found["charts"].items():
            yield series, f"last {span}", f"{sum(chart[series]):.0f}"
    for row in found["failures"]["rows"][:most]:
        refused = f", refused until {moment(row['refused_until'])}" if row["refused_until"] > found["time"] else ""
        yield "failed logins", row["address"], f"{row['failures']:.0f}{refused}"
    for row in found["limits"]["rows"][:most]:
        yield "near a limit", row["who"], f"{row['limit']}: {row['used']} of {row['most']}"
    for row in found["grants"]["rows"][:most]:
        yield "grant", f"{row['address']} {row['user']}", f"{row['server']}, until {moment(row['until'])}"
    for row in found["certificates"]:
        yield "certificate", row["file"], f"{row['days']} days left"
