from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from submission.core.quotas import (
    DAY,
    HOUR,
    MAX_STOCK,
    SHARE,
    SLOT,
    Limit,
    Reached,
    Stock,
    Thing,
    Usage,
    limits_of,
    slot,
)

NOW = 1_795_267_000.0
TEN = Limit("messages_per_hour", Thing.MESSAGES, HOUR, 10)


def take(usage: Usage, limit: Limit, now: float) -> int | Reached:
    return usage.take(limit.thing, 1, (limit,), now)


def test_only_limits_that_are_set_are_limits() -> None:
    assert limits_of({"messages_per_hour": 0, "recipients_per_day": 7}) == (
        Limit("recipients_per_day", Thing.RECIPIENTS, DAY, 7),
    )


def test_the_last_is_taken_and_no_more() -> None:
    usage = Usage()
    assert [take(usage, TEN, NOW) for _ in range(10)] == [1] * 10
    refusal = take(usage, TEN, NOW)
    assert isinstance(refusal, Reached)
    assert refusal.limit is TEN
    assert NOW + HOUR < refusal.until <= NOW + HOUR + HOUR / 24
    assert isinstance(take(usage, TEN, refusal.until - 1), Reached)
    assert take(usage, TEN, refusal.until) == 1


def test_what_is_free_again_is_what_was_sent_first() -> None:
    usage = Usage()
    for minute in range(10):
        take(usage, TEN, NOW + 600 * minute / 2)
    assert NOW + HOUR < usage.free_at(TEN, NOW + 3000) <= NOW + HOUR + SLOT
    assert usage.free_at(Limit(TEN.name, TEN.thing, HOUR, 5), NOW + 3000) > NOW + HOUR + 5 * 300  # five have to go


def test_of_several_limits_the_one_that_lasts_longest_is_told() -> None:
    limits = limits_of({"messages_per_hour": 2, "messages_per_day": 2, "recipients_per_hour": 1})
    usage = Usage()
    assert [usage.take(Thing.MESSAGES, 1, limits, NOW) for _ in range(2)] == [1, 1]
    refusal = usage.take(Thing.MESSAGES, 1, limits, NOW)
    assert isinstance(refusal, Reached)
    assert refusal.limit.name == "messages_per_day"
    assert usage.take(Thing.RECIPIENTS, 1, limits, NOW) == 1


def test_what_was_not_sent_is_free_at_once_and_never_less_than_none_was_sent() -> None:
    usage = Usage()
    usage.take(Thing.MESSAGES, 1, (TEN,), NOW)
    for _ in range(3):
        usage.add(Thing.MESSAGES, -1, (TEN,), NOW)
    assert usage.used(TEN, NOW) == 0
    usage.take(Thing.MESSAGES, 1, (TEN,), NOW)
    assert usage.used(TEN, NOW) == 1


def test_a_clock_that_went_back_a_year_refuses_for_an_hour_and_forgets_nothing() -> None:
    usage = Usage()
    for _ in range(10):
        take(usage, TEN, NOW)
    earlier = NOW - 365 * DAY
    usage.tidy(earlier)
    refusal = take(usage, TEN, earlier)
    assert isinstance(refusal, Reached)
    assert refusal.until <= earlier + HOUR + SLOT


def test_what_is_kept_is_bounded() -> None:
    usage, limits = Usage(), limits_of({"messages_per_hour": 10**9, "messages_per_day": 10**9})
    for minute in range(3 * 24 * 60):
        now = NOW + 60 * minute
        usage.tidy(now)
        usage.add(Thing.MESSAGES, 1, limits, now)
    assert {name: len(counts) for name, counts in usage.counts.items()} == {
        "messages_per_hour": 25,
        "messages_per_day": 25,
    }
    assert usage.until <= NOW + 4 * DAY + 3600


def test_what_no_limit_is_called_is_forgotten() -> None:
    usage = Usage()
    take(usage, Limit("messages_per_year", Thing.MESSAGES, 365 * DAY, 10), NOW)
    take(usage, TEN, NOW)
    usage.tidy(NOW)
    assert list(usage.counts) == [TEN.name]


def test_a_limit_that_was_reached_is_news_once_in_its_window() -> None:
    usage = Usage()
    assert [usage.tell(TEN, NOW), usage.tell(TEN, NOW + HOUR - 1), usage.tell(TEN, NOW + HOUR)] == [True, False, True]
    usage.tidy(NOW + HOUR + 60)
    assert not usage.tell(TEN, NOW + HOUR + 60)
    assert not usage.tell(TEN, NOW + HOUR - 1)  # by another clock
    assert usage.tell(TEN, NOW - DAY)


instants = st.lists(st.integers(0, 4 * HOUR), min_size=1, max_size=120).map(sorted)


@given(instants, st.integers(1, 8), st.data())
def test_no_window_ever_holds_more_than_the_limit(times: list[int], most: int, data: st.DataObject) -> None:
    """Against the naive count of every message, whatever bucket it fell into."""
    limit = Limit("messages_per_hour", Thing.MESSAGES, HOUR, most)
    usage, sent = Usage(), []
    for second in times:
        now = NOW + second
        if data.draw(st.booleans()):
            usage.tidy(now)
        lately = sum(now - HOUR < when for when in sent)
        with_grain = sum(now - HOUR - SLOT < when for when in sent)
        result = take(usage, limit, now)
        if isinstance(result, int):
            assert lately < most
            sent.append(now)
        else:
            assert with_grain >= most  # nobody is refused for what is older than a window and a bucket
            assert now < result.until <= now + HOUR + SLOT
            assert isinstance(take(usage, limit, result.until - 0.001), Reached)


def test_a_stock_is_of_its_slot_and_of_its_thing() -> None:
    stock = Stock()
    stock.put(Thing.MESSAGES, 2, slot(NOW))
    assert not stock.spend(Thing.RECIPIENTS, NOW)
    assert not stock.spend(Thing.MESSAGES, NOW + SLOT)
    assert [stock.spend(Thing.MESSAGES, NOW) for _ in range(3)] == [slot(NOW), slot(NOW), None]
    stock.put(Thing.MESSAGES, 1, slot(NOW) - 1)
    assert not stock.spend(Thing.MESSAGES, NOW)
    assert stock.empty() == [(slot(NOW) - 1, Thing.MESSAGES, 1)]
    assert stock.empty() == []


def test_who_hurries_gets_more_ahead_and_who_does_not_gets_one() -> None:
    stock = Stock()
    asked = [stock.ask(Thing.MESSAGES, NOW + second / 10) for second in range(10)]
    assert asked == [1, 2, 4, 8, 16, 32, 64, 128, MAX_STOCK, MAX_STOCK]
    assert not stock.is_idle(NOW + 1)
    assert stock.is_idle(NOW + 2)
    assert stock.ask(Thing.MESSAGES, NOW + 2) == 1
    assert stock.ask(Thing.RECIPIENTS, NOW + 2) == 1


def test_a_stock_takes_little_of_what_is_left() -> None:
    usage, limit = Usage(), Limit("messages_per_hour", Thing.MESSAGES, HOUR, 100)

    def all_taken() -> Iterator[int]:
        while isinstance(taken := usage.take(Thing.MESSAGES, MAX_STOCK, (limit,), NOW), int):
            yield taken

    taken = list(all_taken())
    assert sum(taken) == 100
    assert taken[0] == 100 // SHARE
    assert taken[-15:] == [1] * 15


class Workers(RuleBasedStateMachine):
    """Whatever workers take ahead, spend, give back, hand back, or die with, no hour ever has more than its limit."""

    MOST = 40

    def __init__(self) -> None:
        super().__init__()
        self.limit = Limit("messages_per_hour", Thing.MESSAGES, HOUR, self.MOST)
        self.now = NOW
        self.usage = Usage()
        self.stocks = [Stock(), Stock()]
        self.under_way: list[tuple[int, int]] = []  # worker and slot
        self.sent: list[float] = []  # by the beginning of the slot that they count in

    @rule(seconds=st.integers(0, 2 * SLOT))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(worker=st.integers(0, 1), times=st.integers(1, 10))
    def take(self, worker: int, times: int) -> None:
        for _ in range(times):
            stock = self.stocks[worker]
            if stock.spend(Thing.MESSAGES, self.now) is None:
                wanted = stock.ask(Thing.MESSAGES, self.now)
                self.hand_back(worker)
                taken = self.usage.take(Thing.MESSAGES, wanted, (self.limit,), self.now)
                if isinstance(taken, Reached):
                    assert taken.until > self.now
                    return
                stock.put(Thing.MESSAGES, taken - 1, slot(self.now))
            self.under_way.append((worker, slot(self.now)))

    @rule(data=st.data(), is_sent=st.booleans())
    def end(self, data: st.DataObject, is_sent: bool) -> None:
        if self.under_way:
            worker, when = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
            if is_sent:
                self.sent.append(when * SLOT)
            else:
                self.stocks[worker].put(Thing.MESSAGES, 1, when)

    @rule(worker=st.integers(0, 1))
    def hand_back(self, worker: int) -> None:
        self.usage.tidy(self.now)
        for when, thing, amount in self.stocks[worker].empty():
            self.usage.add(thing, -amount, (self.limit,), when * SLOT)

    @rule(worker=st.integers(0, 1))
    def die(self, worker: int) -> None:
        self.stocks[worker] = Stock()
        self.under_way = [each for each in self.under_way if each[0] != worker]

    @invariant()
    def no_hour_has_more(self) -> None:
        begun = sorted([*self.sent, *(when * SLOT for _, when in self.under_way)])
        for number, start in enumerate(begun):
            assert sum(when < start + HOUR for when in begun[number:]) <= self.MOST

    @invariant()
    def all_that_was_sent_counts(self) -> None:
        counted = self.usage.used(self.limit, self.now)
        assert counted >= sum(when + SLOT + HOUR > self.now for when in self.sent)


TestWorkers = Workers.TestCase
TestWorkers.settings = hypothesis_settings(max_examples=60)


@pytest.mark.parametrize("window", [HOUR, DAY])
def test_buckets_are_made_of_whole_slots(window: int) -> None:
    assert window % SLOT == 0
    assert (window // 24) % SLOT == 0
