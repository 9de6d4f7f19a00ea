"""An open relay is found by whichever form it is open; a gate that holds is told from one that only looks so."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from submission.cli.doctor.doors import Door
from submission.cli.doctor.strangers import CLEAR, ENCRYPTED, try_strangers
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings
from submission.config.settings import Listen, PopBeforeSmtp
from submission.config.values import TcpAddress
from tests.cli.doctor.conftest import Installation
from tests.support.server import HOSTNAME
from tests.support.sink import Answer, Sink, reply, script

REFUSED = reply("530 5.7.0 Authentication required")
DENIED = reply("550 5.7.1 Relaying denied")


def judge(settings: Settings, sink: Sink, **pop: object) -> Verdict:
    """The verdict on a program that answers as scripted, with these keys of [pop_before_smtp]."""
    settings = settings.model_copy(update={"pop_before_smtp": PopBeforeSmtp().model_copy(update=pop)})
    listen = Listen(address=f"127.0.0.1:{sink.port}", tls="none")
    (verdict,) = try_strangers(Door(listen, TcpAddress("127.0.0.1", sink.port), HOSTNAME), settings)
    return verdict


def orderly(answer: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """As a server that takes no RCPT behind a MAIL that it has refused."""
    before = [False]

    def answer_in_order(step: str) -> Answer:
        said = answer(step)
        if step.upper().startswith("MAIL"):
            before[0] = said.octets.startswith(b"250")
        return said if before[0] or not step.upper().startswith("RCPT") else reply("503 5.5.1 MAIL first")

    return answer_in_order


@pytest.fixture
def settings(installation: Installation) -> Settings:
    return installation.settings()


@pytest.mark.parametrize(
    ("kind", "tried", "stranger"),
    [
        ("none", [CLEAR], "127.0.0.1"),
        ("starttls", [CLEAR, ENCRYPTED], "127.0.0.1"),
        ("implicit", [ENCRYPTED], "127.0.0.1"),
        ("balanced-starttls", [CLEAR, ENCRYPTED], "192.0.2.1"),
    ],
)
def test_our_own_service_is_none(installation: Installation, kind: str, tried: list[str], stranger: str) -> None:
    door, settings = installation.door(kind)
    verdicts = [(each.outcome.value, each.tried, each.text) for each in try_strangers(door, settings)]
    text = f"20 ways to send from {stranger} without a login, all refused"
    assert verdicts == [("ok", each, text) for each in tried]


@pytest.mark.parametrize(
    ("command", "form"),
    [
        ("RCPT TO:<victim%", "MAIL FROM:<>, RCPT TO:<victim%example.com@mail.example.com>"),
        ('RCPT TO:<"victim@example.com">', 'MAIL FROM:<>, RCPT TO:<"victim@example.com">'),
        ("RCPT TO:<@", "MAIL FROM:<>, RCPT TO:<@mail.example.com:victim@example.com>"),
        ("RCPT TO:<example.com!", "MAIL FROM:<>, RCPT TO:<example.com!victim>"),
    ],
)
def test_one_form_of_a_recipient_that_gets_through(settings: Settings, command: str, form: str) -> None:
    with Sink(script({"RCPT": DENIED, command: reply("250 OK")})) as sink:
        verdict = judge(settings, sink)
    assert verdict.outcome.value == "FAILED"
    assert verdict.text.startswith(f"OPEN RELAY: {form} is taken from 127.0.0.1, and 19 more ways")


@pytest.mark.parametrize(
    "sender",
    ["<>", "<postmaster@mail.example.com>", "<root@localhost>", "<root>", "<postmaster@example.com> AUTH=<postmaster@"],
)
def test_one_sender_whom_everything_is_allowed(settings: Settings, sender: str) -> None:
    beyond = {"MAIL FROM:<> AUTH": REFUSED, "MAIL FROM:<postmaster@example.com>": REFUSED}
    steps = {"MAIL": REFUSED, "RCPT": reply("250 OK"), **beyond, f"MAIL FROM:{sender}": reply("250 OK")}
    with Sink(orderly(script(steps))) as sink:
        verdict = judge(settings, sink)
    assert verdict.outcome.value == "FAILED"
    assert verdict.text.startswith(f"OPEN RELAY: MAIL FROM:{sender}")


def test_only_helo_gets_through(settings: Settings) -> None:
    """A gate that is asked under EHLO alone."""
    said = [""]
    closed, opened = orderly(script({"MAIL": REFUSED})), script()

    def answer(step: str) -> Answer:
        if step.upper()[1:4] in ("HLO", "ELO"):
            said[0] = step[:4]
        return opened(step) if said[0] == "HELO" else closed(step)

    with Sink(answer) as sink:
        verdict = judge(settings, sink)
    assert (verdict.outcome.value, verdict.text[:10]) == ("FAILED", "OPEN RELAY")
    assert "and 9 more ways" in verdict.text


def test_mail_that_is_taken_though_no_recipient_is(settings: Settings) -> None:
    with Sink(script({"RCPT": DENIED})) as sink:
        verdict = judge(settings, sink)
    assert verdict.outcome.value == "FAILED"
    assert verdict.text.startswith("MAIL FROM:<> is not refused from 127.0.0.1, though all recipients elsewhere are")


def test_a_relay_that_does_not_answer_hides_no_open_gate(settings: Settings) -> None:
    """451 comes from behind the gate."""
    with Sink(orderly(script({"MAIL": reply("451 4.4.1 The mail system is not answering")}))) as sink:
        assert judge(settings, sink).outcome.value == "FAILED"


def test_what_the_admin_allows_is_no_open_relay(settings: Settings) -> None:
    own = (ip_network("127.0.0.0/8"),)
    with Sink() as sink:
        told = judge(settings, sink, enabled=True, static=own)
        assert (told.outcome.value, told.text) == (
            "warning",
            "127.0.0.1 is in pop_before_smtp.static: whoever is there may send",
        )
        assert judge(settings, sink, enabled=False, static=own).outcome.value == "FAILED"
        assert judge(settings, sink, enabled=True, static=own, deny=own).outcome.value == "FAILED"
        assert judge(settings, sink, enabled=True, relay_domains=("example.net",)).outcome.value == "FAILED"
        sink.answer = script({"RCPT": DENIED})
        told = judge(settings, sink, enabled=True, relay_domains=("example.net",))
        assert (told.outcome.value, told.text) == ("ok", "from 127.0.0.1 to pop_before_smtp.relay_domains only")


def test_a_service_that_closes_meanwhile_is_not_judged(settings: Settings) -> None:
    with Sink(script({"MAIL": reply("421 4.7.0 Too many errors")})) as sink:
        verdict = judge(settings, sink)
    assert verdict.outcome.value == "not tried"
    assert verdict.text == "broken off after 0 attempts: 421 4.7.0 Too many errors"


def test_what_got_through_counts_though_it_ends_there(settings: Settings) -> None:
    with Sink(script({"RCPT": Answer(b"250 OK\r\n", "close")})) as sink:
        verdict = judge(settings, sink)
    assert (verdict.outcome.value, verdict.text[:10]) == ("FAILED", "OPEN RELAY")


def test_a_recipient_that_is_put_off_has_got_through(settings: Settings) -> None:
    """Greylisting is no gate: the second try is a yes."""
    with Sink(script({"RCPT": reply("451 4.7.1 Please try again later")})) as sink:
        verdict = judge(settings, sink, enabled=True, relay_domains=("example.net",))
    assert (verdict.outcome.value, verdict.text[:10]) == ("FAILED", "OPEN RELAY")
