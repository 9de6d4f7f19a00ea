"""What takes too much of the CPU is told."""

import time

import pytest

from fuzz.timing import bounded


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_what_takes_longer_raises() -> None:
    with pytest.raises(AssertionError, match=r"took 0\.0"), bounded(0.01):
        burn(0.02)


def test_what_is_quick_does_not() -> None:
    with bounded(0.25):
        pass
