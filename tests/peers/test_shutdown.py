"""SIGTERM: nobody new comes in, whoever does nothing is sent away, and a message under way is delivered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.client import Client
from tests.support.events import Events
from tests.support.network import wait_until
from tests.support.server import Server
from tests.support.sink import Answer, Sink, reply, script

ALICE = "alice@test.example"
ENVELOPE = ("MAIL FROM:<carol@example.com>", f"RCPT TO:<{ALICE}>")
MESSAGE = b"From: carol@example.com\r\n\r\nHi\r\n"
GOODBYE = b"421 4.3.2 Service shutting down, please try again in a moment\r\n"

Stop = Callable[[], "Future[int]"]


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture
def stop(server: Server, sink: Sink, events: Events) -> Iterator[Stop]:
    """Sends SIGTERM, and returns when the service has had it; the future gives its exit code. Starts it again."""
    with ThreadPoolExecutor(1) as executor:

        def stop() -> Future[int]:
            exit_code = executor.submit(server.stop)
            events.wait("stopping")
            return exit_code

        yield stop
    server.start()


def count_messages(sink: Sink) -> int:
    return sum(len(connection.messages) for connection in sink.connections)


def part(client: Client) -> None:
    """Be sent away, and close."""
    assert client.reply() == GOODBYE
    assert client.reply() == b""
    client.leave("close")


def is_refused(server: Server) -> bool:
    try:
        server.connect("none").close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("commands", [[], ["EHLO client.example"], ["EHLO client.example", "AUTH PLAIN"]])
def test_who_is_in_no_transaction_is_sent_away(commands: list[str], server: Server, stop: Stop) -> None:
    with Client(server) as client:
        client.say_each(*commands)
        exit_code = stop()
        part(client)
        assert exit_code.result() == 0


def test_nobody_connected(stop: Stop) -> None:
    assert stop().result() == 0


def test_a_handshake_that_never_comes(server: Server, stop: Stop) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["implicit"])):
        with Client(server):
            pass  # the service has been round all its connections once
        assert stop().result() == 0


@pytest.mark.parametrize("commands", [1, 2])
def test_a_transaction_is_finished(commands: int, client: Client, server: Server, sink: Sink, stop: Stop) -> None:
    client.say_each(*ENVELOPE[:commands])
    exit_code = stop()
    wait_until(lambda: is_refused(server))
    assert client.say_each(*ENVELOPE[commands:], "DATA")[-1].startswith(b"354 ")
    assert client.send_message(MESSAGE).startswith(b"250 ")
    part(client)
    assert exit_code.result() == 0
    assert count_messages(sink) == 1


def test_a_message_on_its_way_is_finished(client: Client, sink: Sink, stop: Stop) -> None:
    assert client.say_each(*ENVELOPE, "DATA")[-1].startswith(b"354 ")
    client.send(MESSAGE)
    exit_code = stop()
    assert client.send_message(MESSAGE).startswith(b"250 ")
    part(client)
    assert exit_code.result() == 0
    assert count_messages(sink) == 1


def test_the_relay_s_answer_is_waited_for(client: Client, sink: Sink, stop: Stop, events: Events) -> None:
    may_answer = threading.Event()
    sink.answer = script({".": Answer(reply("250 2.0.0 Taken").octets, after=may_answer)})
    assert client.say_each(*ENVELOPE, "DATA")[-1].startswith(b"354 ")
    client.send(MESSAGE + b".\r\n")
    exit_code = stop()
    may_answer.set()
    assert client.reply() == b"250 2.0.0 Taken\r\n"
    part(client)
    assert exit_code.result() == 0
    assert events.wait("message")["result"] == "ok"


def test_an_idle_client_does_not_keep_another_s_transaction(
    client: Client, server: Server, sink: Sink, stop: Stop
) -> None:
    with Client(server) as idle:
        client.say_each(*ENVELOPE)
        exit_code = stop()
        part(idle)
        assert client.say("RSET").startswith(b"250 ")
        part(client)
        assert exit_code.result() == 0
    assert count_messages(sink) == 0
