"""make bench: see the package's docstring."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Iterable
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from benchmarks import measures, programs, report
from benchmarks.peers import Peer, dovecot
from benchmarks.peers.haraka import Haraka
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.ours import Ours
from benchmarks.peers.postfix import Postfix
from benchmarks.peers.sendmail import SendmailItself
from benchmarks.turns import Results, Step, take_turns

PEERS: tuple[Peer, ...] = (Ours(), dovecot.TUNED, dovecot.INSTALLED, Postfix(), Nginx(), Haraka(), SendmailItself())


WIDTH = 180
"""Columns of the table where no terminal says how many there are."""


def _chosen(_: click.Context, __: click.Parameter, names: str) -> list[Peer]:
    known = {peer.name: peer for peer in PEERS}
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            raise click.BadParameter(f"{name} is none of {', '.join(known)}")
    return [peer for name, peer in known.items() if name in wanted]


@click.command(help="Measure what a message costs, through submission and through its peers.")
@click.option("--quick", is_flag=True, help="One short round.")
@click.option("--rounds", type=click.IntRange(min=1), help="Three unless told; one with --quick.")
@click.option(
    "--only", "peers", callback=_chosen, default="", metavar="NAMES", help=f"Of {', '.join(p.name for p in PEERS)}."
)
@click.option("--document", is_flag=True, help="Write the figures into docs/performance.md too.")
def main(quick: bool, rounds: int | None, peers: list[Peer], document: bool) -> None:
    """Run the benchmarks."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    scale = measures.QUICK if quick else measures.FULL
    scale = dataclasses.replace(scale, rounds=rounds or scale.rounds)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    results = Results()
    for peer in peers:
        if reason := peer.missing():
            results.left_out[peer.name] = reason
    interrupted = False
    try:
        with contextlib.closing(take_turns(peers, scale, results)) as steps:
            _show(steps, scale.rounds * len(peers), console)
    except KeyboardInterrupt:
        interrupted = True
        console.print("interrupted, everything is stopped; what follows is not the whole")
    console.print(report.table(PEERS, results))
    for name, reason in results.left_out.items():
        console.print(f"left out: {name}, {reason}", markup=False)
    report.write_json(programs.BUILD / "results.json", PEERS, results, scale)
    if document and not interrupted:
        report.write_document(PEERS, results, scale)
    sys.exit(interrupted or "ours" in results.left_out)


def _show(steps: Iterable[Step], turns: int, console: Console) -> None:
    """A bar on a terminal, a line a turn elsewhere."""
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("building", total=turns)
        turn = -1
        for step in steps:
            progress.update(task, completed=step.turn, description=step.text)
            if step.turn > turn and not console.is_terminal:
                console.print(step.text)
            turn = step.turn


def _interrupt(*_: object) -> NoReturn:
    """Unwind once: who is impatient meanwhile must not keep us from stopping what we started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
