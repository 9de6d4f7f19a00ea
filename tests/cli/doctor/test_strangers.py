"""An open relay is found by whichever form it is open; a gate that holds is told from one that only looks so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from submission.cli.doctor.doors import Door, find_doors
from submission.cli.doctor.strangers import CLEAR, ENCRYPTED, try_strangers
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings, load
from submission.config.pop import PopBeforeSmtp
from submission.config.settings import Listen
from submission.config.values import TcpAddress
from tests.cli.doctor.conftest import Installation
from tests.support.granting import pop
from tests.support.server import HOSTNAME, Server, public_folder
from tests.support.sink import Answer, Sink, reply, script

REFUSED = reply("530 5.7.0 Authentication required")
DENIED = reply("550 5.7.1 Relaying denied")


def judge(settings: Settings, sink: Sink, **changes: object) -> Verdict:
    """The verdict on a program that answers as scripted, with these keys of [pop_before_smtp]."""
    settings = settings.model_copy(update={"pop_before_smtp": PopBeforeSmtp().model_copy(update=changes)})
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
    "form",
    [
        "<victim@example.com>",
        "<victim%example.com@mail.example.com>",
        "<victim%example.com>",
        '<"victim@example.com">',
        '<"victim@example.com"@mail.example.com>',
        "<@[127.0.0.1]:victim@example.com>",
        "<example.com!victim>",
    ],
)
def test_one_form_of_a_recipient_that_gets_through(settings: Settings, form: str) -> None:
    with Sink(script({"RCPT": DENIED, f"RCPT TO:{form}": reply("250 OK")})) as sink:
        verdict = judge(settings, sink)
    assert verdict.outcome.value == "FAILED"
    assert verdict.text.startswith("OPEN RELAY: MAIL FROM:<")
    assert f", RCPT TO:{form} is taken from 127.0.0.1, " in verdict.text


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
    assert "10 of 20 ways" in verdict.text


def test_mail_that_is_taken_though_no_recipient_is(settings: Settings) -> None:
    with Sink(script({"RCPT": DENIED})) as sink:
        verdict = judge(settings, sink)
    assert verdict.outcome.value == "FAILED"
    assert verdict.text.startswith("MAIL FROM:<> is not refused from 127.0.0.1, though all recipients elsewhere are")


def test_a_relay_that_does_not_answer_hides_no_open_gate(settings: Settings) -> None:
    """451 comes from behind the gate."""
    with Sink(orderly(script({"MAIL": reply("451 4.4.1 The mail system is not answering")}))) as sink:
        assert judge(settings, sink).outcome.value == "FAILED"


def test_what_the_admin_denies_is_not_excused(settings: Settings) -> None:
    own = (ip_network("127.0.0.0/8"),)
    with Sink() as sink:
        assert judge(settings, sink, enabled=True, static=own).outcome.value == "warning"
        assert judge(settings, sink, enabled=False, static=own).outcome.value == "FAILED"
        assert judge(settings, sink, enabled=True, static=own, deny=own).outcome.value == "FAILED"
        assert judge(settings, sink, enabled=True, relay_domains=("example.net",)).outcome.value == "FAILED"


@pytest.fixture(scope="module")
def permissive() -> Iterator[Server]:
    """A service that takes from this host what has no login, and from everybody what is for one domain."""
    pop = {"enabled": True, "logs": [], "static": ["127"], "relay_domains": ["example.net"]}
    with public_folder() as folder, Sink() as sink, Server(folder, sink.address, {"pop_before_smtp": pop}) as server:
        yield server


def tried(server: Server, kind: str) -> tuple[str, str]:
    """Outcome and text of what strangers try at a listener."""
    settings = load(server.configuration)
    listen = next(each for each in settings.listen if str(each.address).endswith(f":{server.ports[kind]}"))
    (door,) = find_doors(listen, settings.hostname)
    first, *others = try_strangers(door, settings)
    assert {(each.outcome, each.text) for each in others} <= {(first.outcome, first.text)}
    return first.outcome.value, first.text


def test_an_address_that_the_admin_has_allowed_is_told(permissive: Server) -> None:
    text = "127.0.0.1 is in pop_before_smtp.static: whoever is there may send"
    assert tried(permissive, "starttls") == ("warning", text)


def test_relay_domains_are_no_open_relay_and_a_grant_is_told(permissive: Server) -> None:
    relay_domains = ("ok", "from 192.0.2.1 to pop_before_smtp.relay_domains only")
    assert tried(permissive, "balanced-starttls") == relay_domains
    pop(permissive, "add", "192.0.2.1", "carol")
    text = "192.0.2.1 has a grant of carol@example.com's: submission pop list"
    assert tried(permissive, "balanced-starttls") == ("warning", text)
    pop(permissive, "remove", "192.0.2.1")
    assert tried(permissive, "balanced-starttls") == relay_domains


def test_a_service_that_closes_meanwhile_is_not_judged(settings: Settings) -> None:
    with Sink(script({"MAIL": reply("421 4.7.0 Too many errors")})) as sink:
        verdict = judge(settings, sink)
    assert verdict.outcome.value == "not tried"
    assert verdict.text == "broken off at attempt 1: 421 4.7.0 Too many errors"


def test_what_got_through_counts_though_it_ends_there(settings: Settings) -> None:
    with Sink(script({"RCPT": Answer(b"250 OK\r\n", "close")})) as sink:
        verdict = judge(settings, sink)
    assert (verdict.outcome.value, verdict.text[:10]) == ("FAILED", "OPEN RELAY")


def test_a_recipient_that_is_put_off_has_got_through(settings: Settings) -> None:
    """Greylisting is no gate: the second try is a yes."""
    with Sink(script({"RCPT": reply("451 4.7.1 Please try again later")})) as sink:
        verdict = judge(settings, sink, enabled=True, relay_domains=("example.net",))
    assert (verdict.outcome.value, verdict.text[:10]) == ("FAILED", "OPEN RELAY")
