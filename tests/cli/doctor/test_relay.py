"""The relay, by the service's own way to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.cli.doctor import relay
from submission.cli.doctor.relay import BANNER, EXTENSIONS, REACHED, RELAYS, RELAYS_FOR_OTHERS, try_relay
from submission.config.values import RelayAddress, TcpAddress, UnixAddress
from tests.cli.doctor.conftest import Installation
from tests.support.sink import reply, script


def rows(installation: Installation, **changes: object) -> dict[str, tuple[str, str]]:
    settings = installation.settings()
    settings = settings.model_copy(update={"relay": settings.relay.model_copy(update=changes)})
    return {each.tried: (each.outcome.value, each.text) for each in try_relay(settings)}


def test_a_relay_that_takes_everything(installation: Installation) -> None:
    found = rows(installation)
    found.pop(RELAYS_FOR_OTHERS)
    assert found == {
        BANNER: ("ok", "not sendmail: 220 relay.test.example ESMTP"),
        REACHED: ("ok", 'as the service connects, tls = "none"'),
        EXTENSIONS: ("ok", "PIPELINING ENHANCEDSTATUSCODES 8BITMIME SIZE DSN"),
        RELAYS: ("ok", "a recipient elsewhere is accepted: 250 2.0.0 OK"),
    }


def test_tls_that_the_relay_does_not_speak(installation: Installation) -> None:
    found = rows(installation, tls="starttls")
    assert list(found) == [BANNER, REACHED]
    assert found[REACHED][0] == "FAILED"
    assert "STARTTLS" in found[REACHED][1]
    assert rows(installation, tls="implicit")[REACHED][0] == "FAILED"


@pytest.mark.parametrize(
    "address", [UnixAddress(Path("/run/none")), TcpAddress("relay.invalid", 25)], ids=["unix", "name"]
)
def test_a_relay_that_is_not_there(installation: Installation, address: RelayAddress) -> None:
    found = rows(installation, address=address)
    assert list(found) == [BANNER]
    assert found[BANNER][0] == "FAILED"


def test_a_relay_that_is_reached_from_elsewhere(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "own_address", lambda _: "127.0.0.1")  # all that tests may listen at
    outcome, text = rows(installation)[RELAYS_FOR_OTHERS]
    assert outcome == "warning"
    assert text.startswith("victim@example.com is accepted from 127.0.0.1. If it is so from elsewhere, it is an OPEN")
    denied = reply("550 5.7.1 Relaying denied")
    for form in ("<victim%", "<@", "<example.com!"):
        installation.sink.answer = script({"RCPT": denied, f"RCPT TO:{form}": reply("250 OK")})
        outcome, text = rows(installation)[RELAYS_FOR_OTHERS]
        assert (outcome, text[: len(form) - 1]) == ("warning", form[1:])
    installation.sink.answer = script({"RCPT": denied})
    assert rows(installation)[RELAYS_FOR_OTHERS] == ("ok", "refuses recipients elsewhere from 127.0.0.1")


def test_a_relay_on_loopback_only(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "own_address", lambda _: "127.0.0.2")
    assert rows(installation)[RELAYS_FOR_OTHERS] == ("ok", "not by 127.0.0.2: Connection refused")


def test_a_machine_without_a_network(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "own_address", lambda _: None)
    assert rows(installation)[RELAYS_FOR_OTHERS] == ("not tried", "this machine has no address but loopback")
