import os

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from submission.smtp.places import CELLS, Places

WORKERS = 3
NETWORKS = ["", "192.0.2.1", "192.0.2.2", "2001:db8::/64"]


def test_all_workers_together_have_only_so_many() -> None:
    places = Places(2, 3, 50)
    one, other = places.row(0), places.row(1)
    assert [one.take(""), other.take("192.0.2.1"), other.take("192.0.2.2")] == [True] * 3
    assert [one.take(""), other.take("192.0.2.3")] == [False] * 2
    other.leave("192.0.2.2")
    assert [one.take("192.0.2.4"), one.take("")] == [True, False]


def test_an_address_has_only_so_many_whoever_serves_it() -> None:
    places = Places(2, 10_000, 2)
    one, other = places.row(0), places.row(1)
    assert [row.take("192.0.2.1") for row in (one, other, one, other)] == [True, True, False, False]
    assert one.take("192.0.2.2")
    assert all(one.take("") for _ in range(10))
    other.leave("192.0.2.1")
    assert [row.take("192.0.2.1") for row in (one, other)] == [True, False]


def test_the_clients_of_a_dead_worker_are_forgotten() -> None:
    places = Places(2, 2, 1)
    assert places.row(0).take("192.0.2.1")
    assert places.row(1).take("192.0.2.2")
    places.clear(1)
    assert not places.row(1).take("192.0.2.1")
    assert places.row(1).take("192.0.2.2")
    assert not places.row(0).take("192.0.2.3")


def test_processes_share_it() -> None:
    places = Places(2, 10_000, 1)
    child = os.fork()
    if not child:
        os._exit(0 if places.row(1).take("192.0.2.1") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not places.row(0).take("192.0.2.1")
    places.clear(1)
    assert places.row(0).take("192.0.2.1")


def test_strangers_do_not_take_each_others_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are by default, one for an address: chance refuses some, and how many is a matter of theory."""
    monkeypatch.setattr("secrets.token_bytes", bytes)
    row = Places(1, 10_000, 1).row(0)
    refused = sum(not row.take(f"10.0.{number // 256}.{number % 256}") for number in range(10_000))
    most = 1 - (1 - 1 / CELLS) ** 10_000  # of a cell that somebody has, once all are there
    assert refused < 10_000 * most**2


class Workers(RuleBasedStateMachine):
    """Whatever comes and goes and dies, the count is right."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Places(WORKERS, 6, 2)
        self.rows = [self.places.row(number) for number in range(WORKERS)]
        self.clients: list[tuple[int, str]] = []

    @rule(worker=st.integers(0, WORKERS - 1), network=st.sampled_from(NETWORKS))
    def come(self, worker: int, network: str) -> None:
        of_network = sum(client[1] == network for client in self.clients)
        has_room = len(self.clients) < 6 and (not network or of_network < 2)
        assert self.rows[worker].take(network) == has_room
        if has_room:
            self.clients.append((worker, network))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        worker, network = self.clients.pop(data.draw(st.integers(0, len(self.clients) - 1)))
        self.rows[worker].leave(network)

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        self.places.clear(worker)
        self.clients = [client for client in self.clients if client[0] != worker]

    @invariant()
    def nobody_counts_twice(self) -> None:
        assert self.places.count() == len(self.clients)


TestWorkers = Workers.TestCase
TestWorkers.settings = hypothesis_settings(max_examples=30)
