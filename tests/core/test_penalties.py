import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.penalties import (
    ADDRESS,
    HALF_LIFE,
    MAX_DELAY,
    MAX_TRIES,
    REFUSED_FOR,
    SITE,
    USER,
    Penalty,
    Rule,
    Try,
    keys,
)


def after(failures: int, rule: Rule = ADDRESS, user: str = "") -> Penalty:
    penalty = Penalty()
    for number in range(failures):
        penalty = penalty.after_failure(rule, Try(user or str(number), f"p{number}"), 0.0)
    return penalty


def test_delays_double_to_fifteen_seconds() -> None:
    assert [after(failures).delay(ADDRESS, 0.0) for failures in range(7)] == [0, 1, 2, 4, 8, 15, 15]


def test_a_few_slips_cost_a_user_nothing() -> None:
    assert [after(failures, USER).delay(USER, 0.0) for failures in range(7)] == [0, 0, 0, 0, 1, 2, 4]


def test_thirty_failures_refuse_an_address_for_a_while() -> None:
    assert not after(29).is_refused(0.0)
    refused = after(30)
    assert refused.is_refused(0.0)
    assert refused.is_refused(REFUSED_FOR - 1)
    assert not refused.is_refused(REFUSED_FOR)
    assert not refused.is_refused(-REFUSED_FOR)  # a clock that was wrong


def test_a_site_is_refused_later_and_a_user_never() -> None:
    assert not after(149, SITE).is_refused(0.0)
    assert after(150, SITE).is_refused(0.0)
    assert not after(100_000, USER).is_refused(0.0)


def test_failures_fade() -> None:
    penalty = after(4)
    assert penalty.count(HALF_LIFE) == pytest.approx(2.0)
    assert penalty.delay(ADDRESS, HALF_LIFE) == 2.0
    assert penalty.delay(ADDRESS, 3 * HALF_LIFE + 1) == 0.0
    assert penalty.until == pytest.approx(3 * HALF_LIFE)


def test_the_same_wrong_password_again_adds_nothing() -> None:
    penalty = after(1)
    again = penalty
    for _ in range(100):
        again = again.after_failure(ADDRESS, Try("0", "p0"), 5.0)
    assert again == penalty
    assert again.after_failure(ADDRESS, Try("1", "p0"), 0.0).failures == 2  # another user
    unseen = Penalty()
    for _ in range(2):
        unseen = unseen.after_failure(ADDRESS, Try("0"), 0.0)  # CRAM-MD5 doesn't show what was tried
    assert unseen.failures == 2


def test_a_success_takes_back_its_own_failures_and_no_more() -> None:
    penalty = after(3, user="alice").after_failure(ADDRESS, Try("bob", "x"), 0.0)
    assert penalty.after_success("alice", 0.0).count(0.0) == 1
    assert penalty.after_success("mallory", 0.0).count(0.0) == 4
    # Who guesses at many and logs in to an account of their own in between gains nothing.
    guesser = Penalty()
    for number in range(40):
        guesser = guesser.after_failure(ADDRESS, Try(str(number), "password"), 0.0).after_success("mallory", 0.0)
    assert guesser.is_refused(0.0)


def test_what_counts_as_one_client() -> None:
    assert keys("192.0.2.1", "u") == [("address 192.0.2.1", ADDRESS), ("user u", USER)]
    assert keys("2001:db8:1:2:3::4", "") == [
        ("address 2001:db8:1:2::/64", ADDRESS),
        ("site 2001:db8:1::/48", SITE),
    ]
    assert keys("", "u") == [("user u", USER)]
    assert keys("", "") == []


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]), st.floats(0, 3000), st.booleans())),
    st.sampled_from([ADDRESS, SITE, USER]),
)
def test_whatever_happens_delays_are_bounded_and_end(events: list[tuple[str, str, float, bool]], rule: Rule) -> None:
    penalty, now = Penalty(), 0.0
    for user, password, later, is_success in events:
        now += later
        before = penalty.count(now)
        if is_success:
            penalty = penalty.after_success(user, now)
            assert penalty.count(now) <= before
        else:
            penalty = penalty.after_failure(rule, Try(user, password), now)
            assert before <= penalty.count(now) <= before + 1
        assert 0 <= penalty.delay(rule, now) <= MAX_DELAY
        assert len(penalty.tries) <= MAX_TRIES
        assert penalty.delay(rule, penalty.until + 1) == 0
        assert not penalty.is_refused(penalty.until + 1)
        if rule is USER:
            assert not penalty.is_refused(now)
