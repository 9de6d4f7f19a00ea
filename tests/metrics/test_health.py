"""The health check, red for each of the three things that it looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.metrics import health
from tests.support.monitored import monitored
from tests.support.network import PATIENCE, free_port
from tests.support.sink import Answer, Sink, reply, script


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "GOOD_FOR", 0.0)


async def test_green_while_all_is_well_and_the_relay_is_left_in_good_manners(tmp_path: Path) -> None:
    with Sink() as sink:
        async with monitored(tmp_path, f"127.0.0.1:{sink.port}") as subject:
            answered = await subject.get("/healthz")
            assert (answered.status, answered.body) == (200, b"relay: ok\nstore: ok\ncertificates: ok\n")
        lines = [sink.lines.get(timeout=PATIENCE)[1] for _ in range(2)]
        assert lines == [b"EHLO mail.example.com\r\n", b"QUIT\r\n"]


async def test_red_while_the_relay_is_down(tmp_path: Path) -> None:
    port = free_port()
    async with monitored(tmp_path, f"127.0.0.1:{port}") as subject:
        answered = await subject.get("/healthz")
        assert answered.status == 503
        assert answered.body.startswith(b"relay: ")
        assert answered.body.endswith(b"\nstore: ok\ncertificates: ok\n")


async def test_red_while_the_relay_refuses_or_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.2)
    with Sink() as sink:
        async with monitored(tmp_path, f"127.0.0.1:{sink.port}") as subject:
            sink.answer = script({"connect": reply("554 5.3.2 <b>\u202eno\x1b[31m</b>")})
            answered = await subject.get("/healthz")
            assert answered.status == 503
            assert answered.body.count(b"\n") == 3
            assert b"\x1b" not in answered.body
            sink.answer = script({"connect": Answer(then="silence")})
            answered = await subject.get("/healthz")
            assert (answered.status, answered.body.splitlines()[0]) == (503, b"relay: no answer within 0 seconds")


async def test_red_while_the_store_cannot_be_read(tmp_path: Path) -> None:
    with Sink() as sink:
        async with monitored(tmp_path, f"127.0.0.1:{sink.port}") as subject:
            assert (await subject.get("/healthz")).status == 200
            store = tmp_path / "users.db"
            store.rename(tmp_path / "aside")
            store.write_bytes(b"no database" * 1000)
            answered = await subject.get("/healthz")
            assert answered.status == 503
            assert answered.body.splitlines()[1].startswith(b"store: ")
            assert answered.body.splitlines()[1] != b"store: ok"
            store.unlink()
            (tmp_path / "aside").rename(store)
            assert (await subject.get("/healthz")).status == 200


async def test_red_while_the_key_of_the_store_cannot_be_read(tmp_path: Path) -> None:
    with Sink() as sink:
        async with monitored(tmp_path, f"127.0.0.1:{sink.port}") as subject:
            (tmp_path / "store.key").write_bytes(b"short")
            assert (await subject.get("/healthz")).status == 503


@pytest.mark.parametrize(("days", "word"), [(-366, b"expired at"), (1, b"is valid from")])
async def test_red_while_a_certificate_is_out_of_date(tmp_path: Path, days: float, word: bytes) -> None:
    with Sink() as sink:
        async with monitored(tmp_path, f"127.0.0.1:{sink.port}", days=days) as subject:
            answered = await subject.get("/healthz")
            assert answered.status == 503
            assert answered.body.splitlines()[:2] == [b"relay: ok", b"store: ok"]
            assert word in answered.body.splitlines()[2]


async def test_who_asks_often_costs_the_relay_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "GOOD_FOR", 3600.0)
    with Sink() as sink:
        async with monitored(tmp_path, f"127.0.0.1:{sink.port}") as subject:
            for _ in range(5):
                assert (await subject.get("/healthz")).status == 200
        assert len(sink.connections) == 1
