"""make bench: see the package's docstring."""

from __future__ import annotations

import dataclasses
import signal
import sys
from typing import NoReturn

import click
from rich.console import Console

from benchmarks import measures, programs, report
from benchmarks.peers import Peer, dovecot
from benchmarks.peers.haraka import Haraka
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.ours import Ours
from benchmarks.peers.postfix import Postfix
from benchmarks.peers.sendmail import SendmailItself
from benchmarks.turns import Results, take_turns

PEERS: tuple[Peer, ...] = (Ours(), dovecot.TUNED, dovecot.INSTALLED, Postfix(), Nginx(), Haraka(), SendmailItself())


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
    signal.signal(signal.SIGTERM, _end)
    scale = measures.QUICK if quick else measures.FULL
    scale = dataclasses.replace(scale, rounds=rounds or scale.rounds)
    console = Console(width=None if sys.stdout.isatty() else 140)
    results = Results()
    for peer in peers:
        if reason := peer.missing():
            results.left_out[peer.name] = reason
    try:
        with console.status("building") as status:
            take_turns(peers, scale, results, status.update)
    except KeyboardInterrupt:
        console.print("interrupted: what follows is not the whole")
    console.print(report.table(PEERS, results))
    for name, reason in results.left_out.items():
        console.print(f"not measured: {name}, {reason}")
    report.write_json(programs.BUILD / "results.json", PEERS, results, scale)
    if document:
        report.write_document(PEERS, results, scale)
    sys.exit(bool(results.left_out.get("ours")))


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
