import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.smtp.in_doubt import NOWHERE, ROW, SLOT, SLOTS, InDoubt, Note, Notes, take_left

NOTE = Note("4152f9124046.1", "192.0.2.1", "auth", 2, 10234, "alice@example.com", "alice@example.com")
OTHER = NOTE._replace(id="4152f9124046.2", user=None, sender="")

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
notes = st.builds(
    Note,
    id=texts,
    address=texts,
    via=texts,
    recipients=st.integers(0, 10**6),
    size=st.integers(0, 10**12),
    user=st.none() | texts.filter(bool),
    sender=texts,
)


def write(row: Notes, note: Note) -> int:
    *known, sender = note
    return row.note(*known, sender.encode())


@given(notes, notes)
def test_a_note_is_read_as_it_was_written_whatever_stood_there_before(before: Note, note: Note) -> None:
    memory = memoryview(bytearray(ROW))
    row = Notes(memory)
    row.strike(write(row, before))
    place = write(row, note)
    assert Note.decode(bytes(memory[place + 1 : place + SLOT])) == note


@given(st.binary(max_size=SLOT))
def test_nothing_that_stands_there_is_an_error(octets: bytes) -> None:
    note = Note.decode(octets)
    assert note.recipients >= 0
    assert note.size >= 0


def test_of_a_long_note_the_sender_is_cut(tmp_path: Path) -> None:
    in_doubt = InDoubt(tmp_path, 2)
    write(in_doubt.row(0), NOTE._replace(sender="é" * SLOT))
    write(in_doubt.row(1), OTHER)
    (found,) = in_doubt.take(0)
    assert found[:-1] == NOTE[:-1]
    assert set(found.sender.rstrip("\ufffd")) == {"é"}
    assert in_doubt.take(1) == [OTHER]


def test_a_worker_leaves_what_was_not_struck_out(tmp_path: Path) -> None:
    in_doubt = InDoubt(tmp_path, 2)
    if not os.fork():
        row = in_doubt.row(1)
        struck = write(row, NOTE)
        write(row, OTHER)
        row.strike(struck)
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
    assert in_doubt.take(0) == []
    assert in_doubt.take(1) == [OTHER]
    assert in_doubt.take(1) == []


def test_more_than_there_is_room_for_is_not_noted() -> None:
    memory = memoryview(bytearray(ROW))
    row = Notes(memory)
    places = [write(row, NOTE) for _ in range(SLOTS + 1)]
    assert len(set(places)) == SLOTS + 1
    assert places[-1] == NOWHERE
    row.strike(NOWHERE)
    assert write(row, NOTE) == NOWHERE
    for place in places:
        row.strike(place)
    assert not any(memory[::SLOT])
    assert write(row, OTHER) in places


def test_what_a_dead_service_left_is_found_once(tmp_path: Path) -> None:
    if not os.fork():
        in_doubt = InDoubt(tmp_path, 2)
        write(in_doubt.row(0), NOTE)
        write(in_doubt.row(1), OTHER)
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
    assert take_left(tmp_path) == [NOTE, OTHER]
    assert take_left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_who_lives_without_its_supervisor_is_left_alone(tmp_path: Path) -> None:
    """A worker whose supervisor was killed still ends its transactions, and tells of them itself."""
    reading, writing = os.pipe()
    supervisor = os.fork()
    if not supervisor:
        in_doubt = InDoubt(tmp_path, 1)
        write(in_doubt.row(0), NOTE)
        worker = os.fork()
        if not worker:
            os.close(writing)
            os.read(reading, 1)  # until the test says so
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(reading)
    os.waitpid(supervisor, 0)
    assert take_left(tmp_path) == []
    os.close(writing)
    while not (found := take_left(tmp_path)):
        os.sched_yield()
    assert found == [NOTE]


def test_a_service_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    in_doubt = InDoubt(tmp_path, 1)
    in_doubt.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        InDoubt(tmp_path / "missing", 1)
