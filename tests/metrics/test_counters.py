from __future__ import annotations

import os
import timeit

import pytest

from submission.metrics.counters import MAX_CELLS, Counters, Family

FAMILIES = (
    Family("eaten", "Fruit.", ("fruit", "when"), (("apple", "noon"), ("apple", "night"), ("pear", "noon"))),
    Family("seconds", "Time."),
)


def test_a_total_is_of_all_rows_and_a_sum_of_all_that_match() -> None:
    counters = Counters(FAMILIES, 3)
    for row in range(3):
        counters.row(row)[counters.cells["eaten", ("apple", "noon")]] += row + 1
    counters.row(1)[counters.cells["eaten", ("pear", "noon")]] += 10
    counters.row(2)[counters.cells["seconds", ()]] += 0.25
    assert counters.total("eaten", ("apple", "noon")) == 6
    assert counters.total("eaten", ("apple", "night")) == 0
    assert counters.total("seconds") == 0.25
    assert counters.sum("eaten", when="noon") == 16
    assert counters.sum("eaten", fruit="apple", when="noon") == 6
    assert counters.sum("eaten") == 16


def test_what_a_process_counts_is_known_to_others_and_outlives_it() -> None:
    counters = Counters(FAMILIES, 4)
    for number in range(4):
        if not os.fork():
            row, cell = counters.row(number), counters.cells["eaten", ("apple", "noon")]
            for _ in range(1000):
                row[cell] += 1
            os._exit(0)
    for _ in range(4):
        assert os.wait()[1] == 0
    assert counters.total("eaten", ("apple", "noon")) == 4000
    counters.row(2)[counters.cells["eaten", ("apple", "noon")]] += 1  # who replaces a dead one
    assert counters.total("eaten", ("apple", "noon")) == 4001


def test_further_values_have_places_of_their_own_and_what_was_counted_stays() -> None:
    counters = Counters(FAMILIES, 2)
    old = counters.row(0), counters.cells["eaten", ("pear", "noon")]
    old[0][old[1]] += 1
    counters.extend((Family("eaten", "Fruit.", ("fruit", "when"), (("plum", "noon"), ("pear", "noon"))),))
    counters.row(1)[counters.cells["eaten", ("plum", "noon")]] += 2
    old[0][old[1]] += 1  # a process of before goes on
    assert counters.total("eaten", ("pear", "noon")) == 2
    assert counters.sum("eaten", when="noon") == 4
    assert [family.name for family in counters.families] == ["eaten", "seconds"]


def test_what_a_row_has_no_room_for_is_not_counted() -> None:
    counters = Counters((Family("eaten", "Fruit.", ("number",), tuple((str(n),) for n in range(2000))),), 2)
    assert len(counters.cells) == len(counters.families[0].values) == MAX_CELLS
    counters.row(0)[counters.cells["eaten", (str(MAX_CELLS - 1),)]] += 1
    assert counters.sum("eaten") == 1


def test_there_are_none_but_those_that_were_named() -> None:
    with pytest.raises(KeyError):
        Counters(FAMILIES, 1).total("eaten", ("plum", "noon"))


def test_to_count_costs_less_than_a_microsecond() -> None:
    row = Counters(FAMILIES, 1).row(0)

    def add() -> None:
        row[1] += 1

    assert min(timeit.repeat(add, number=10_000, repeat=20)) < 0.01
