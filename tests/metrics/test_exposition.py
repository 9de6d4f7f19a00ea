"""What Prometheus gets, read by its own parser and judged by its own linter."""

from __future__ import annotations

import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from submission.config.settings import Settings
from submission.metrics.counters import Counters
from submission.metrics.counting import Counting, families
from submission.metrics.exposition import expose
from tests.support.programs import require

NAMES = {
    "submission_connections",
    "submission_connections_total",
    "submission_auth_total",
    "submission_messages_total",
    "submission_message_bytes_total",
    "submission_relay_seconds",
    "submission_pop_grants",
    "submission_pop_logins_total",
    "submission_limited_total",
    "submission_certificate_expiry_seconds",
}
GAUGES = {
    "submission_connections": 3.0,
    "submission_pop_grants": 2.0,
    "submission_certificate_expiry_seconds": -1.5,
}


@pytest.fixture
def page() -> str:
    listeners = ["127.0.0.1:587", 'systemd:a "quoted" \\ name']
    settings = {
        "hostname": "mail.example.com",
        "listen": [{"address": address, "tls": "none"} for address in listeners],
        "pop_before_smtp": {"formats": ["dovecot"]},
    }
    counters = Counters(families(Settings.model_validate(settings)), 2)
    for row in range(2):
        count = Counting(counters, row)
        count("connection", {"listener": listeners[1]})
        for seconds in (0.001, 0.02, 0.02, 999.0):
            count("message", {"via": "auth", "result": "ok", "size": 10, "relay_seconds": seconds})
    return expose(counters, GAUGES).decode()


def test_the_parser_finds_every_number(page: str) -> None:
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert found["submission_connections",] == 3
    assert found["submission_certificate_expiry_seconds",] == -1.5
    assert found["submission_connections_total", 'systemd:a "quoted" \\ name'] == 2
    assert found["submission_messages_total", "ok", "auth"] == 8
    assert found["submission_message_bytes_total",] == 80
    assert found["submission_relay_seconds_bucket", "0.005"] == 2
    assert found["submission_relay_seconds_bucket", "0.025"] == 6
    assert found["submission_relay_seconds_bucket", "300.0"] == 6
    assert found["submission_relay_seconds_bucket", "+Inf"] == found["submission_relay_seconds_count",] == 8
    assert found["submission_relay_seconds_sum",] == pytest.approx(2 * 999.041)


def test_the_names_are_those_that_were_promised(page: str) -> None:
    assert {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")} == NAMES


def test_what_cannot_be_told_is_left_out() -> None:
    settings = Settings.model_validate({"hostname": "a.example", "listen": [{"address": "[::1]:587", "tls": "none"}]})
    page = expose(Counters(families(settings), 1), {}).decode()
    assert "submission_pop_grants" not in page


def test_prometheus_s_own_linter_has_no_objection(page: str) -> None:
    require("promtool")
    linted = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
