from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest

from submission.core.grants import Grant
from submission.core.quotas import Thing
from submission.state.quotas import Subject
from tests.support.monitored import LISTENER, monitored
from tests.support.network import free_port

TOKEN = "0123456789abcdef0123"
PATHS = ("/", "/status.css", "/status.js", "/status.json", "/metrics", "/healthz")
NASTY = '<img src=x onerror="alert(1)">@example.com'


def relay() -> str:
    return f"127.0.0.1:{free_port()}"


async def test_the_json_has_it_all(tmp_path: Path) -> None:
    async with monitored(tmp_path, relay()) as subject:
        now = time.time()
        subject.grants.record([Grant("192.0.2.7", NASTY, "pop3", "dovecot", now, now, now + 1800)])
        await subject.penalties.fail("192.0.2.9", "alice", "guess")
        for row in subject.rows:
            assert row.take("192.0.2.1")
        first, second = subject.counting
        first("message", {"via": "auth", "result": "ok", "size": 100, "relay_seconds": 0.5})
        second("message", {"via": "auth", "result": "ok", "size": 100, "relay_seconds": 1.5})
        second("message", {"via": "auth", "result": "refused", "size": 0, "relay_seconds": None})
        second("overload", {"ip": "192.0.2.1"})
        first("auth", {"mech": "PLAIN", "result": "fail", "reason": "bad-credentials"})
        status = (await subject.get("/status.json")).json
    assert status["is_healthy"] is False  # there is no relay
    assert [condition["name"] for condition in status["health"]] == ["relay", "store", "certificates"]
    assert status["sessions"] == 2
    hour, day = status["charts"]["hour"], status["charts"]["day"]
    for chart, points in (hour, 60), (day, 96):
        assert {len(chart[series]) for series in ("messages", "refusals", "failures", "relay_seconds")} == {points}
        assert (sum(chart["messages"]), sum(chart["refusals"]), sum(chart["failures"])) == (2, 2, 1)
        assert [mean for mean in chart["relay_seconds"] if mean is not None] == [1.0]
    [failure] = status["failures"]["rows"]
    assert failure["address"] == "192.0.2.9"
    assert failure["failures"] == pytest.approx(1, abs=0.1)
    assert status["grants"]["total"] == 1
    assert status["grants"]["rows"][0]["user"] == NASTY
    [certificate] = status["certificates"]
    assert certificate["names"] == ["mail.example.com"]
    assert 360 < certificate["days"] < 370


async def test_who_is_near_a_limit_is_told_and_who_is_not_is_not(tmp_path: Path) -> None:
    async with monitored(tmp_path, relay()) as subject:
        limits = subject.settings.limits
        for key, windows, count in (
            ("user alice@example.com", limits.user.windows, 8),
            (f"user {NASTY}", limits.user.windows, 7),
            ("address 192.0.2.5", limits.address.windows, 5),
        ):
            for _ in range(count):
                await subject.quotas.take(Subject(key, windows), Thing.MESSAGES)
        subject.quotas.close()
        near = (await subject.get("/status.json")).json["limits"]
    assert near == {
        "total": 2,
        "rows": [
            {"who": "192.0.2.5", "limit": "messages_per_day", "used": 5, "most": 5},
            {"who": "alice@example.com", "limit": "messages_per_hour", "used": 8, "most": 10},
        ],
    }


async def test_no_list_is_endless(tmp_path: Path) -> None:
    async with monitored(tmp_path, relay()) as subject:
        now = time.time()
        subject.grants.record(
            [Grant(f"192.0.2.{n}", "alice@example.com", "pop3", "dovecot", now, now, now + 1800) for n in range(200)]
        )
        grants = (await subject.get("/status.json")).json["grants"]
    assert (grants["total"], len(grants["rows"])) == (200, 50)


async def test_a_state_that_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with monitored(tmp_path, relay()) as subject:
        state = tmp_path / "state.db"
        state.unlink()
        state.mkdir()
        status = (await subject.get("/status.json")).json
        page = (await subject.get("/metrics")).body
    assert status["grants"] == status["failures"] == status["limits"] == {"total": None, "rows": []}
    assert b"submission_pop_grants" not in page
    assert b"submission_connections 0.0" in page


async def test_the_metrics_are_those_of_all_processes(tmp_path: Path) -> None:
    async with monitored(tmp_path, relay()) as subject:
        for count in subject.counting:
            count("connection", {"listener": LISTENER})
        answered = await subject.get("/metrics")
    assert answered.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert f'submission_connections_total{{listener="{LISTENER}"}} 2.0'.encode() in answered.body
    assert b"submission_certificate_expiry_seconds 3.1" in answered.body


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
async def test_every_answer_is_for_this_page_alone(tmp_path: Path, path: str) -> None:
    async with monitored(tmp_path, relay()) as subject:
        fields = (await subject.get(path)).fields
    policy = fields["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["cache-control"] == "no-store"


async def test_a_name_of_somebody_else_s_is_not_served(tmp_path: Path) -> None:
    """Who can point a name at 127.0.0.1 could otherwise read the page in a visitor's browser."""
    async with monitored(tmp_path, relay()) as subject:
        for host in ("evil.example", f"evil.example:{subject.port}", "127.0.0.1.evil.example", "", "localhost.", "::1"):
            answered = await subject.get("/status.json", {"Host": host})
            assert (answered.status, b"sessions" in answered.body) == (421, False)
        for host in ("localhost", f"LOCALHOST:{subject.port}", "[::1]", "[::1]:9587", "192.0.2.1:80"):
            assert (await subject.get("/", {"Host": host})).status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_token_is_wanted_where_there_is_one(tmp_path: Path, path: str) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    wrong = base64.b64encode(f"{TOKEN}:".encode()).decode()
    async with monitored(tmp_path, relay(), {"token_file": str(tmp_path / "token")}) as subject:
        refused = await subject.get(path)
        assert (refused.status, refused.fields["www-authenticate"]) == (
            401,
            'basic realm="submission", charset="utf-8"',
        )
        for value in (
            "Bearer",
            "Bearer x",
            f"Bearer {TOKEN}x",
            f"Token {TOKEN}",
            f"Basic {wrong}",
            "Basic =",
            "Basic \xff",
        ):
            answered = await subject.get(path, {"Authorization": value})
            assert answered.status == 401, value
        for value in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Basic {basic}"):
            answered = await subject.get(path, {"Authorization": value, "Host": "mail.example.com"})
            assert answered.status == (503 if path == "/healthz" else 200), value


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_changed(tmp_path: Path, method: str) -> None:
    async with monitored(tmp_path, relay()) as subject:
        answered = await subject.get("/status.json", method=method)
    assert (answered.status, answered.fields["allow"]) == (405, "get, head")
