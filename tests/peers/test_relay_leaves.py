"""The relay fails, in each way and at each step: what the client hears, what the relay got, and what the log says.

Up to the final dot every failure means that nothing was delivered. Behind it nobody can know, so the client is told to
come again, which at worst gives two copies, and the log says that the outcome is unknown.
"""

from __future__ import annotations

import pytest

from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import PATIENCE
from tests.support.server import Server, Settings
from tests.support.sink import Answer, Sink, reply, script

ALICE = "alice@test.example"
MESSAGE = b"From: carol@example.com\r\n\r\nHi\r\n"
UNREACHABLE = b"451 4.4.1 The mail system is not answering, please try again later\r\n"
LOST = b"451 4.4.2 The connection to the mail system was lost, please try again later\r\n"

FAILURES = {
    "closes": Answer(then="close"),
    "resets": Answer(then="reset"),
    "half-closes": Answer(then="half-close"),
    "talks garbage": Answer(b"\x16\x03\x01 hello\r\n"),
    "breaks off in a line": Answer(b"250 2.0", then="close"),
    "breaks off in a reply": Answer(b"250-2.0.0 first\r\n", then="close"),
    "mixes codes": Answer(b"250-2.0.0 first\r\n550 5.0.0 second\r\n"),
    "never ends a reply": Answer(b"250-2.0.0 again\r\n" * 4096),
    "never ends a line": Answer(b"250 " + b"x" * 100_000),
    "says what is no SMTP": Answer(b"100 Continue\r\n"),
}
SILENCE = Answer(then="silence")


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"relay": {"connect_timeout": 0.5, "final_timeout": 0.5}}


def submit_in_two_parts(client: Client, server: Server, sink: Sink) -> bytes:
    """Submit a message whose second part comes when the service knows that the relay has failed; the reply."""
    assert client.say_each("MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "DATA")[-1].startswith(b"354 ")
    client.send(MESSAGE)
    assert sink.connections[-1].is_over.wait(PATIENCE)
    with Client(server):
        pass  # the service has been round all its connections once
    return client.send_message(b"and more\r\n")


def count_messages(sink: Sink) -> int:
    """How many messages had their final dot."""
    return sum(len(connection.messages) for connection in sink.connections)


def assert_recovery(client: Client, sink: Sink) -> None:
    """The relay is well again, and so is the client's session; nothing is left of the failure."""
    before = count_messages(sink)
    sink.answer = script()
    client.submit_until_taken(MESSAGE, ALICE)
    assert count_messages(sink) == before + 1


@pytest.mark.parametrize("failure", [*FAILURES.values(), SILENCE], ids=[*FAILURES, "is silent"])
@pytest.mark.parametrize("step", ["connect", "EHLO"])
def test_before_a_transaction(step: str, failure: Answer, client: Client, sink: Sink, events: Events) -> None:
    sink.answer = script({step: failure})
    assert client.submit(MESSAGE, ALICE) == UNREACHABLE
    assert events.wait("message")["result"] == "refused"
    assert_recovery(client, sink)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_in_the_envelope(step: str, failure: Answer, client: Client, sink: Sink, events: Events) -> None:
    sink.answer = script({step: failure})
    assert client.submit(MESSAGE, ALICE) == LOST
    assert events.wait("message")["result"] == "refused"
    assert_recovery(client, sink)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_in_the_message(failure: Answer, client: Client, server: Server, sink: Sink, events: Events) -> None:
    sink.answer = script({"content": failure})
    assert submit_in_two_parts(client, server, sink) == LOST
    assert events.wait("message")["result"] == "refused"
    assert count_messages(sink) == 0
    assert_recovery(client, sink)


@pytest.mark.parametrize("failure", [*FAILURES.values(), SILENCE], ids=[*FAILURES, "is silent"])
def test_behind_the_final_dot(failure: Answer, client: Client, sink: Sink, events: Events) -> None:
    sink.answer = script({".": failure})
    assert client.submit(MESSAGE, ALICE) == LOST
    assert events.wait("message")["result"] == "unknown"
    assert count_messages(sink) == 1
    assert_recovery(client, sink)


REFUSALS = ["451 4.3.0 Try later", "554 5.7.1 Not from you", "421 4.3.2 relay.test.example is going down"]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
def test_a_refusal_is_the_relay_s_own_word(step: str, refusal: str, client: Client, sink: Sink, events: Events) -> None:
    lines = [f"{refusal[:3]}-first", f"{refusal[:3]}-", refusal]
    sink.answer = script({step: reply(*lines)})
    status = f"{refusal[0]}.0.0"  # the first line has none, so it gets one that says nothing more, and so do the others
    heard = [f"{refusal[:3]}-{status} first", f"{refusal[:3]}-{status} ", refusal]
    assert client.submit(MESSAGE, ALICE) == "".join(f"{line}\r\n" for line in heard).encode()
    if step != "RCPT" or refusal.startswith("421 "):
        assert events.wait("message")["result"] == "refused"
    client.say("RSET")
    assert_recovery(client, sink)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_in_the_message_is_heard_at_its_end(
    refusal: str, client: Client, server: Server, sink: Sink, events: Events
) -> None:
    sink.answer = script({"content": reply(refusal)})
    assert submit_in_two_parts(client, server, sink) == f"{refusal}\r\n".encode()
    assert events.wait("message")["result"] == "refused"
    assert count_messages(sink) == 0
    assert_recovery(client, sink)


def test_a_yes_in_the_message_is_none(client: Client, server: Server, sink: Sink, events: Events) -> None:
    sink.answer = script({"content": reply("250 2.0.0 Message accepted for delivery")})
    assert submit_in_two_parts(client, server, sink) == LOST
    assert events.wait("message")["result"] == "refused"
    assert count_messages(sink) == 0


@pytest.mark.parametrize(("step", "answer"), [("DATA", "250 2.0.0 OK"), (".", "354 Go on")])
def test_an_answer_to_another_question_is_no_delivery(step: str, answer: str, client: Client, sink: Sink) -> None:
    sink.answer = script({step: reply(answer)})
    assert client.submit(MESSAGE, ALICE) == LOST
    assert_recovery(client, sink)


def test_a_goodbye_between_commands_is_the_answer_to_the_next(client: Client, sink: Sink, events: Events) -> None:
    goodbye = "421 4.4.2 relay.test.example has waited long enough"
    sink.answer = script({"RCPT": Answer(f"250 2.1.5 OK\r\n{goodbye}\r\n".encode(), then="close")})
    assert client.submit(MESSAGE, ALICE) == f"{goodbye}\r\n".encode()
    assert events.wait("message")["result"] == "refused"
    assert_recovery(client, sink)


@pytest.mark.parametrize("step", ["MAIL", "RCPT TO:<bob@test.example>"])
def test_what_is_said_to_data_beside_a_421_asks_for_no_message(step: str, client: Client, sink: Sink) -> None:
    """Else the client would send it, and its lines would be taken for commands."""
    steps = ["MAIL", "RCPT TO:<alice@test.example>", "RCPT TO:<bob@test.example>", "DATA"]
    codes = [b"421 4.3.2 Going" if name == step else b"250 ok" for name in steps[:-1]]
    silent = {name: Answer() for name in steps[:-1]}
    together = b"".join(code + b"\r\n" for code in [*codes, b"354 Go ahead"])
    sink.answer = script({**silent, "DATA": Answer(together)})
    client.send(
        b"MAIL FROM:<carol@example.com>\r\nRCPT TO:<alice@test.example>\r\nRCPT TO:<bob@test.example>\r\nDATA\r\n"
    )
    heard = [client.reply() for _ in steps]
    assert b"421 4.3.2 Going\r\n" in heard
    assert heard[-1] == LOST
    sink.answer = script()
    assert client.say("RCPT TO:<alice@test.example>").startswith(b"503 ")
