import os
import threading
from pathlib import Path

import pytest

from submission.service.turn import Turn
from tests.support.network import wait_until


def test_one_after_the_other(tmp_path: Path) -> None:
    first, second = Turn(tmp_path / "lock"), Turn(tmp_path / "lock")
    assert first.take()
    assert first.take()
    assert not second.take()
    had: list[bool] = []
    waiting = threading.Thread(target=lambda: had.append(second.wait(threading.Event())))
    waiting.start()
    assert waiting.is_alive()
    first.leave()
    waiting.join(20)
    assert had == [True]
    second.leave()


def test_who_is_told_to_stop_waits_no_longer(tmp_path: Path) -> None:
    first, second, stop = Turn(tmp_path / "lock"), Turn(tmp_path / "lock"), threading.Event()
    assert first.take()
    stop.set()
    assert not second.wait(stop)
    first.leave()
    second.leave()


def test_whoever_dies_has_left(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, b"x" if Turn(path).take() else b"-")
        os._exit(0)
    assert os.read(read, 1) == b"x"
    os.waitpid(pid, 0)
    turn = Turn(path)
    wait_until(turn.take)
    turn.leave()
    os.close(read)
    os.close(write)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Turn(tmp_path / "none" / "lock")
