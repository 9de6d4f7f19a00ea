from __future__ import annotations

import pytest

from submission.config.settings import Settings
from submission.metrics.counters import Counters
from submission.metrics.counting import BUCKETS, Counting, families

LISTENER = "127.0.0.1:587"


@pytest.fixture
def counters() -> Counters:
    settings = {
        "hostname": "mail.example.com",
        "listen": [{"address": LISTENER, "tls": "none"}],
        "pop_before_smtp": {"formats": ["dovecot"]},
    }
    return Counters(families(Settings.model_validate(settings)), 2)


def message(**changes: object) -> dict[str, object]:
    return {"result": "ok", "via": "auth", "size": 1000, "relay_seconds": 0.02} | changes


def test_connections_count_by_listener(counters: Counters) -> None:
    Counting(counters, 0)("connection", {"listener": LISTENER, "reason": "quit"})
    assert counters.total("submission_connections_total", (LISTENER,)) == 1


def test_logins_count_by_mechanism_and_result(counters: Counters) -> None:
    count = Counting(counters, 1)
    count("auth", {"mech": "PLAIN", "result": "ok", "reason": None})
    count("auth", {"mech": "PLAIN", "result": "fail", "reason": "bad-credentials"})
    count("auth", {"mech": "LOGIN", "result": "fail", "reason": "penalty"})
    assert counters.total("submission_auth_total", ("PLAIN", "ok")) == 1
    assert counters.total("submission_auth_total", ("PLAIN", "fail")) == 1
    assert counters.total("submission_auth_total", ("LOGIN", "fail")) == 1
    assert counters.total("submission_limited_total", ("auth_penalty",)) == 1


def test_messages_count_with_their_octets_and_the_time_of_the_relay(counters: Counters) -> None:
    count = Counting(counters, 0)
    count("message", message())
    count("message", message(via="pop", relay_seconds=400.0))
    count("message", message(result="refused", relay_seconds=None))
    count("message", message(result="unknown", relay_seconds=None))
    assert counters.total("submission_messages_total", ("auth", "ok")) == 1
    assert counters.total("submission_messages_total", ("pop", "ok")) == 1
    assert counters.total("submission_messages_total", ("auth", "refused")) == 1
    assert counters.total("submission_messages_total", ("auth", "unknown")) == 1
    assert counters.total("submission_message_bytes_total") == 2000
    assert counters.total("submission_relay_seconds", ("0.025",)) == 1
    assert counters.total("submission_relay_seconds", ("+Inf",)) == 1
    assert counters.total("submission_relay_seconds_sum") == pytest.approx(400.02)


@pytest.mark.parametrize("end", BUCKETS)
def test_the_end_of_a_bucket_belongs_to_it(counters: Counters, end: float) -> None:
    Counting(counters, 0)("message", message(relay_seconds=end))
    assert counters.total("submission_relay_seconds", (str(end),)) == 1


def test_grants_and_limits_count(counters: Counters) -> None:
    count = Counting(counters, 0)
    count("grant", {"server": "dovecot"})
    count("overload", {"ip": "192.0.2.1"})
    count("limited", {"limit": "messages_per_hour", "user": "alice"})
    count("limited", {"limit": "connections", "user": "alice"})
    assert counters.total("submission_pop_logins_total", ("dovecot",)) == 1
    for limit in ("connections", "user_connections", "messages_per_hour"):
        assert counters.total("submission_limited_total", (limit,)) == 1


def test_what_nobody_named_counts_for_nothing(counters: Counters) -> None:
    count = Counting(counters, 0)
    count("worker-died", {"pid": 1})
    count("connection", {"listener": "elsewhere"})
    count("message", message(via=None, result="refused", relay_seconds=None))
    assert not any(counters.sum(family.name) for family in counters.families)
