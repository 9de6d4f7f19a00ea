"""The doctor beside a real sendmail: as the relay, and where a listener of ours should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.cli.doctor import diagnose
from submission.cli.doctor.strangers import CLEAR
from submission.config import Settings, load
from submission.config.settings import Listen
from tests.support.sendmail import Sendmail
from tests.support.server import Server


@pytest.fixture(scope="module")
def relay(sendmail_of_module: Sendmail) -> Sendmail:
    return sendmail_of_module


@pytest.fixture
def whole(server: Server, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of an installation that is well, with the listener that most clients use."""
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate_authority))
    settings = load(server.configuration)
    listen = next(each for each in settings.listen if str(each.address).endswith(f":{server.ports['starttls']}"))
    return settings.model_copy(update={"listen": (listen,)})


def complaints(settings: Settings) -> list[tuple[str, str, str]]:
    return [
        (each.outcome.value, each.tried, each.text)
        for each in diagnose(settings)
        if each.outcome.value != "ok" and each.tried != "relays for others"
    ]


def test_all_is_well(whole: Settings, sendmail: Sendmail) -> None:
    assert complaints(whole) == []
    (banner,) = (each.text for each in diagnose(whole) if each.tried == "banner")
    assert banner.startswith("sendmail: 220 mx.test.example ESMTP Sendmail ")
    assert sendmail.deliveries() == []


def test_sendmail_on_the_submission_port_is_an_open_relay(whole: Settings, sendmail: Sendmail) -> None:
    """Its own port 587, which distributions open, takes from this host what comes without a login."""
    listen = Listen(address=sendmail.address)
    failed = {tried: text for outcome, tried, text in complaints(whole.model_copy(update={"listen": (listen,)}))}
    assert failed[CLEAR].startswith("OPEN RELAY: MAIL FROM:<>, RCPT TO:<victim@example.com> is taken from 127.0.0.1")
    assert "greets as mx.test.example, not as mail.example.com" in failed["greeting"]
    assert sendmail.deliveries() == []


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Sendmail]:
    refusals = {"victim@example.com": "5.7.1:550 Relaying denied"}
    with Sendmail(tmp_path / "refusing", refusals=refusals, max_size=1000) as sendmail:
        yield sendmail


def test_a_sendmail_that_does_not_relay(whole: Settings, refusing: Sendmail) -> None:
    relay = whole.relay.model_copy(update={"address": Listen(address=refusing.address).address})
    told = complaints(whole.model_copy(update={"relay": relay}))
    assert [row[:2] for row in told] == [("FAILED", "relays for us")]
    assert told[0][2].startswith("RCPT for victim@example.com is refused, 550 5.7.1 <victim@example.com>... Relaying")


def test_a_sendmail_that_is_stopped(whole: Settings, sendmail: Sendmail) -> None:
    with sendmail.stopped():
        told = complaints(whole)
    assert [row[:2] for row in told] == [("FAILED", "banner")]
    assert complaints(whole) == []
