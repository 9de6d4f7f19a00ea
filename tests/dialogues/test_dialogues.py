"""Every transcript beside this file is a test. README.md says how they are written."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.dialogue import Transcript, play
from tests.support.server import Server, public_folder
from tests.support.sink import Sink

FOLDER = Path(__file__).parent
TRANSCRIPTS = sorted(FOLDER.rglob("*.txt"))

Stage = tuple[Server, Sink]


@pytest.fixture(scope="session")
def stage() -> Iterator[Callable[[Transcript], Stage]]:
    """Gives the running service that a transcript wants, and its relay; plays with equal wishes share them."""
    with ExitStack() as stack:
        stages: dict[str, Stage] = {}

        def find(transcript: Transcript) -> Stage:
            if transcript.settings not in stages:
                sink = stack.enter_context(Sink())
                server = Server(stack.enter_context(public_folder()), sink.address, transcript.wanted)
                server.add_user("alice", "sesame")
                stages[transcript.settings] = stack.enter_context(server), sink
            return stages[transcript.settings]

        yield find


def name(path: Path) -> str:
    return str(path.relative_to(FOLDER).with_suffix(""))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=name)
def test_dialogue(path: Path, stage: Callable[[Transcript], Stage]) -> None:
    transcript = Transcript.read(path)
    server, sink = stage(transcript)
    play(transcript, server, sink)
