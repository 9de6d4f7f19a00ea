"""How long a failed login takes, for users who are known, disabled or unknown: nobody is to learn from it who is there.

    make bench-logins                       200 failures each; a few minutes
    make bench-logins ARGS="--count 50"

One client tries, over TLS and loopback, and takes turns between the three, so that whatever slows the machine down
meets all of them. What counts is the time from the last thing that the client says to the reply, for SCRAM's two steps
together. The median of each kind of user and its distance from that of known users, in per cent, are printed.
"""

from __future__ import annotations

import base64
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from submission.core.sasl.registry import MECHANISMS
from tests.support.client import Client
from tests.support.server import Server, public_folder
from tests.support.sink import Sink

KINDS = ("known", "disabled", "unknown")
WARM_UP = 5

Try = Callable[[Client, str], float]
"""Fails to log in as a user; the seconds that the service took."""


def say(client: Client, line: str) -> tuple[bytes, float]:
    """The reply to a line, a challenge's octets if it is one, and the seconds that it took."""
    before = time.perf_counter()
    reply = client.say(line)
    took = time.perf_counter() - before
    return base64.b64decode(reply[4:]) if reply.startswith(b"334 ") else reply, took


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def refused(answer: tuple[bytes, float]) -> float:
    reply, took = answer
    if not reply.startswith(b"535 "):
        raise click.ClickException(f"expected a refusal, got {reply!r}")
    return took


def plain(client: Client, user: str) -> float:
    return refused(say(client, "AUTH PLAIN " + encode(f"\0{user}\0wrong")))


def login(client: Client, user: str) -> float:
    say(client, "AUTH LOGIN " + encode(user))
    return refused(say(client, encode("wrong")))


def cram_md5(client: Client, user: str) -> float:
    say(client, "AUTH CRAM-MD5")
    return refused(say(client, encode(f"{user} {'0' * 32}")))


def digest_md5(client: Client, user: str) -> float:
    challenge, _ = say(client, "AUTH DIGEST-MD5")
    nonce = challenge.split(b'nonce="')[1].split(b'"')[0].decode()
    answer = f'username="{user}",nonce="{nonce}",nc=00000001,cnonce="x",digest-uri="smtp/x",response={"0" * 32}'
    return refused(say(client, encode(answer)))


def scram(name: str, size: int) -> Try:
    def fail(client: Client, user: str) -> float:
        challenge, first = say(client, f"AUTH {name} {encode(f'n,,n={user},r=nonce')}")
        nonce = challenge.split(b",")[0].decode()
        proof = base64.b64encode(bytes(size)).decode()
        return first + refused(say(client, encode(f"c=biws,{nonce},p={proof}")))

    return fail


TRIES: Mapping[str, Try] = {
    "PLAIN": plain,
    "LOGIN": login,
    "CRAM-MD5": cram_md5,
    "DIGEST-MD5": digest_md5,
    "SCRAM-SHA-256": scram("SCRAM-SHA-256", 32),
    "SCRAM-SHA-1": scram("SCRAM-SHA-1", 20),
}


def measure(client: Client, fail: Try, count: int) -> dict[str, list[float]]:
    """So many times of each kind."""
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number, kind in itertools.product(range(WARM_UP + count), KINDS):
        took = fail(client, kind)
        if number >= WARM_UP:
            times[kind].append(took)
    return times


def set_up(server: Server) -> None:
    """Two users, one of them disabled."""
    for user in ("known", "disabled"):
        server.add_user(user, "correct horse battery staple")
    command = [Path(sys.executable).with_name("submission"), "user", "disable", "disabled"]
    subprocess.run([*command, "-c", server.configuration], check=True, capture_output=True)


@click.command(help="Measure how long failed logins take.")
@click.option("--count", type=click.IntRange(min=1), default=200, help="Of each kind of user, by each mechanism.")
def main(count: int) -> None:
    """Run the benchmark."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("Mechanism", *(f"{kind}, µs" for kind in KINDS), *(f"{kind}, %" for kind in KINDS[1:]))
    # Unlike MECHANISMS it names none that binds the channel: what binds it is compared before anybody is looked up.
    settings = {
        "auth": {"mechanisms": list(MECHANISMS), "require_tls": False},
        "limits": {"auth_failures": 1_000_000},
    }
    with public_folder() as folder, Sink() as sink, Server(folder, sink.address, settings) as server:
        set_up(server)
        with Client(server, "implicit") as client:
            client.say("EHLO client.example")
            for name, fail in track(TRIES.items(), "failing to log in", console=console, transient=True):
                medians = {kind: statistics.median(times) for kind, times in measure(client, fail, count).items()}
                known = medians["known"]
                distances = (f"{(medians[kind] / known - 1) * 100:+.1f}" for kind in KINDS[1:])
                table.add_row(name, *(f"{medians[kind] * 1e6:,.0f}" for kind in KINDS), *distances)
    console.print(table)


if __name__ == "__main__":
    main()
