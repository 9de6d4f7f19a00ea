from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from submission.metrics.history import MINUTES, History

NOW = 29_000_000


def test_a_minute_has_what_was_added_in_it() -> None:
    history = History(2)
    history.note(NOW, [1, 10])
    history.note(NOW, [3, 10])
    history.note(NOW + 1, [4, 30])
    assert history.sums(NOW + 1, 3) == [[0, 3, 1], [0, 10, 20]]
    assert history.sums(NOW + 1, 2, 2) == [[0, 4], [0, 30]]


def test_a_day_is_forgotten_when_the_next_one_comes_by() -> None:
    history = History(1)
    history.note(NOW, [5])
    assert history.sums(NOW + MINUTES - 1, MINUTES)[0][0] == 5
    assert history.sums(NOW + MINUTES, 1) == [[0]]
    history.note(NOW + MINUTES, [6])
    assert history.sums(NOW + MINUTES, 1) == [[1]]


def test_it_outlives_the_process_that_notes() -> None:
    history = History(1)
    if not os.fork():
        history.note(NOW, [7])
        os._exit(0)
    assert os.wait()[1] == 0
    history.note(NOW, [8])
    assert history.sums(NOW, 1) == [[8]]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9)), max_size=30), st.sampled_from([1, 5, 15, 60]))
def test_no_addition_is_lost_or_told_twice(noted: list[tuple[int, int]], step: int) -> None:
    history, minute, total = History(1), NOW, 0
    by_minute: dict[int, int] = {}
    for later, added in noted:
        minute += later
        total += added
        by_minute[minute] = by_minute.get(minute, 0) + added
        history.note(minute, [total])
    points = MINUTES // step
    first = minute - points * step + 1
    expected = [sum(by_minute.get(first + point * step + each, 0) for each in range(step)) for point in range(points)]
    assert history.sums(minute, points, step) == [expected]
