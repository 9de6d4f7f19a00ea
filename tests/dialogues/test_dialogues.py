"""Every transcript beside this file is a test. README.md says how they are written."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.dialogue import DialogueError, Transcript, play
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
            wish = transcript.settings + "".join(f"\n# {keyword}" for keyword in transcript.keywords)
            if wish not in stages:
                sink = stack.enter_context(Sink(transcript.behaviour))
                server = Server(stack.enter_context(public_folder()), sink.address, transcript.wanted)
                server.add_user("alice", "sesame")
                stages[wish] = stack.enter_context(server), sink
            return stages[wish]

        yield find


def name(path: Path) -> str:
    return str(path.relative_to(FOLDER).with_suffix(""))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=name)
def test_dialogue(path: Path, stage: Callable[[Transcript], Stage]) -> None:
    transcript = Transcript.read(path)
    server, sink = stage(transcript)
    play(transcript, server, sink)


WITHOUT_A_LINE = {
    "an answer to the client": "S: 250 2.1.5 Bob ok\n",
    "the last answer to the client": "S: 250 2.0.0 taken\n",
    "a command to the relay": "U: RCPT TO:<bob@test.example>\n",
    "the Received field": "U Received\n",
    "a line of the message": "U: Subject: x\n",
    "the final dot": "U: .\n",
}


@pytest.mark.parametrize("line", WITHOUT_A_LINE.values(), ids=WITHOUT_A_LINE.keys())
def test_a_play_in_which_more_is_said_than_written_fails(
    line: str, tmp_path: Path, stage: Callable[[Transcript], Stage]
) -> None:
    written = (FOLDER / "transactions/one-message.txt").read_text()
    written = (
        written[: written.index("C: QUIT")].replace("... Recipient", "").replace("<bob@test.example> ok", "Bob ok")
    )
    written = written.replace("6AL2StjH015473 Message accepted for delivery", "taken").replace(
        "Subject: Lunch", "Subject: x"
    )
    assert line in written
    path = tmp_path / "play.txt"
    path.write_text(written)
    play(Transcript.read(path), *stage(Transcript.read(path)))
    path.write_text(written.replace(line, "", 1))
    with pytest.raises(DialogueError, match=r"play\.txt:|doesn't tell|behind the end"):
        play(Transcript.read(path), *stage(Transcript.read(path)))


@pytest.mark.parametrize("line", ["S: 250 2.0.0 No", "S 251", "S close", "U: NOOP"])
def test_a_play_in_which_something_else_is_said_fails(
    line: str, tmp_path: Path, stage: Callable[[Transcript], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.dialogue.PATIENCE", 0.2)
    path = tmp_path / "play.txt"
    path.write_text(f"Listener: none\n\nS 220\nC: NOOP\n{line}\n")
    with pytest.raises(DialogueError, match=r"play\.txt:5: "):
        play(Transcript.read(path), *stage(Transcript.read(path)))


def test_what_is_no_step_is_no_transcript(tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_text("Listener: none\n\nS 220\nX: NOOP\n")
    with pytest.raises(ValueError, match=r"play\.txt:4: "):
        Transcript.read(path)
