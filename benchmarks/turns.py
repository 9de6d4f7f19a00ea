"""Rounds, and a peer's turn in each.

The peers take turns within a round, so that whatever slows the machine down for a while meets all of them, and each
turn starts its peer anew, so that the spread of the rounds includes what depends on how a process happens to lie.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measures
from benchmarks.measures import Measure, Scale
from benchmarks.peers import Peer, Site
from benchmarks.peers.ours import Ours
from benchmarks.peers.sendmail import SendmailItself, relay
from benchmarks.programs import ProgramError
from benchmarks.traffic import Sink
from submission.certificates import write_certificates


@dataclass(frozen=True, slots=True)
class Step:
    """Where a run has got to."""

    turn: int
    """Turns that are over."""
    text: str


Figure = tuple[str, Measure, float]
"""Of the peer of that name."""


@dataclass(slots=True)
class Results:
    """What came out: figures by peer and measure, one a round; and which peers were left out, and why."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, measure: Measure, value: float) -> None:
        """One more round's figure of the peer of that name."""
        self.figures.setdefault(name, {}).setdefault(measure.name, []).append(value)


def take_turns(peers: Sequence[Peer], scale: Scale, results: Results) -> Generator[Step, None, None]:
    """Measure the peers, add to the results, and tell each step of it. One that fails is left out from then on."""
    with _folder() as folder:
        write_certificates(folder, ["localhost", "127.0.0.1"])
        for turn, (number, peer) in enumerate(itertools.product(range(scale.rounds), peers)):
            if peer.name in results.left_out:
                continue
            place = folder / f"{peer.name}-{number}"
            place.mkdir()
            title = f"round {number + 1} of {scale.rounds}: {peer.title}"
            yield Step(turn, title)
            figures = _turn_with_sendmail if isinstance(peer, SendmailItself) else _turn
            try:
                with contextlib.closing(figures(peer, place, scale)) as came:
                    for name, measure, value in came:
                        results.add(name, measure, value)
                        yield Step(turn, f"{title}, {measure.title}")
            except (ProgramError, TimeoutError) as error:
                results.left_out[peer.name] = f"failed in round {number + 1}: {error}"


def _turn(peer: Peer, place: Path, scale: Scale) -> Generator[Figure, None, None]:
    """A peer in front of the sink."""
    with Sink.running(place) as sink:
        with peer.running(_site(place / "one", sink.port, workers=1)) as running:
            for measure, value in measures.with_one_worker(running, sink, scale, peer.most_connections):
                yield peer.name, measure, value
        with peer.running(_site(place / "two", sink.port, workers=2)) as running:
            for measure, value in measures.with_two_workers(running, scale):
                yield peer.name, measure, value


def _turn_with_sendmail(itself: Peer, place: Path, scale: Scale) -> Generator[Figure, None, None]:
    """The whole host: ours in front of sendmail, then sendmail without us."""
    with relay(place / "relay") as behind:
        ours = Ours()
        with ours.running(_site(place / "ours", behind.port, workers=1)) as running:
            yield ours.name, measures.HOST, measures.host([running.pid, behind.pid], running.port, scale)
    with itself.running(_site(place / "itself", 0, workers=1)) as running:
        yield itself.name, measures.HOST, measures.host([running.pid], running.port, scale)


def _site(folder: Path, relay: int, workers: int) -> Site:
    folder.mkdir()
    shared = folder.parent.parent
    return Site(folder, shared / "server.pem", shared / "server.key", relay, workers)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that peers may enter which have given up being root."""
    with tempfile.TemporaryDirectory(prefix="submission-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)
