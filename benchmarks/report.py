"""The figures as a table for the terminal, as JSON, and as the table in docs/performance.md.

A cell is the median of the rounds, with the least and the greatest behind it.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Column, Table

from benchmarks import measures
from benchmarks.measures import Measure, Scale
from benchmarks.peers import Peer
from benchmarks.turns import Results

DOCUMENT = Path(__file__).parent.parent / "docs/performance.md"
BEGIN = "<!-- What follows is written by: make bench ARGS=--document -->"
END = "<!-- What follows is written by hand again. -->"

ABSENT = "-"


def table(peers: Sequence[Peer], results: Results) -> Table:
    """For the terminal."""
    head, *rows = _cells(peers, results)
    drawn = Table(head[0], *(Column(title, justify="right", overflow="fold") for title in head[1:]))
    for row in rows:
        drawn.add_row(*(cell.replace(" (", "\n(") for cell in row))
    return drawn


def write_json(path: Path, peers: Sequence[Peer], results: Results, scale: Scale) -> None:
    """Everything that was found out."""
    content = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "rounds": scale.rounds,
        "versions": {peer.name: peer.version() for peer in peers if peer.name in results.figures},
        "units": {measure.name: measure.unit for measure in measures.ALL},
        "figures": results.figures,
        "left_out": results.left_out,
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_document(peers: Sequence[Peer], results: Results, scale: Scale) -> None:
    """Replace the figures in docs/performance.md; what is written by hand around them stays."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{_markdown(peers, results, scale)}\n{END}{after}")


def _markdown(peers: Sequence[Peer], results: Results, scale: Scale) -> str:
    head, *rows = _cells(peers, results)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {scale.rounds} rounds, on {_machine()}.",
        "",
        _row(head),
        _row(["---"] * len(head)),
        *map(_row, rows),
        "",
        "The rival is Dovecot tuned, and sendmail for the host.",
        "",
        *(f"- {peer.title}: {peer.version()}" for peer in peers if peer.name in results.figures),
        *(
            f"- Left out: {peer.title}, {' '.join(results.left_out[peer.name].split())}"
            for peer in peers
            if peer.name in results.left_out
        ),
        "",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(peers: Sequence[Peer], results: Results) -> list[list[str]]:
    """The table, head first: a row a measure, a column a peer, and how ours compares."""
    shown = [peer for peer in peers if peer.name in results.figures]
    rows = [["", *(peer.title for peer in shown), "ours / rival"]]
    for measure in measures.ALL:
        figures = [results.figures[peer.name].get(measure.name, []) for peer in shown]
        if any(figures):
            rows.append([f"{measure.title}, {measure.unit}", *map(_cell, figures), _comparison(results, measure)])
    return rows


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ABSENT
    median = _number(statistics.median(values))
    return f"{median} ({_number(min(values))}-{_number(max(values))})" if len(values) > 1 else median


def _comparison(results: Results, measure: Measure) -> str:
    """What share ours is of its rival's; a latency that is lost in the noise compares with nothing."""
    ours, its = (results.figures.get(name, {}).get(measure.name) for name in ("ours", measure.rival))
    if not ours or not its or min(*ours, *its) <= 0:
        return ABSENT
    return f"{statistics.median(ours) / statistics.median(its):.2f}"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _machine() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{os.cpu_count()} cores ({processor}), Linux {platform.release()}"
