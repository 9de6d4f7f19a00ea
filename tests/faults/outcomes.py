"""What became of a message, in a word: from what its client heard, what the relay has, and what the log says.

The words are those of docs/faults.md. Whatever has no word must not happen: a 250 for what is not delivered, a
delivery that was not asked for or is not whole, a second one, a log that says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tests.support.client import Client
from tests.support.events import Events
from tests.support.failing_client import PASSWORD, USER, Plan, compose
from tests.support.network import wait_until
from tests.support.server import Server

FAULT = "fault: "
_WORDS = {
    # heard 250, deliveries, the log's results
    (True, 1, ("ok",)): "taken",
    (False, 1, ("ok",)): "unheard",
    (False, 0, ("refused",)): "refused",
    (False, 0, ()): "nothing",
    (False, 0, ("unknown",)): "unknown",
    (False, 1, ("unknown",)): "unknown",
    (False, 1, ()): "untold",
}


class Relay(Protocol):
    """What stands behind the service."""

    @property
    def address(self) -> str:
        """For a configuration."""

    def messages(self) -> Mapping[str, list[bytes]]:
        """All that it took, without our Received field, by the local parts of the senders."""


class Ground:
    """The log since this was made, and the relay's messages."""

    def __init__(self, server: Server, relay: Relay) -> None:
        self.server = server
        self.events = Events(server)
        self._relay = relay
        self._past = len(server.log("connection "))

    def wait_for_sessions(self, count: int) -> None:
        """Wait until so many sessions are over."""
        wait_until(lambda: len(self.server.log("connection ")) >= self._past + count)

    def recover(self) -> None:
        """Have a message taken, for which the relay has to be well: the service spares one that was away."""
        with Client(self.server, "none") as client:
            assert client.log_in(USER, PASSWORD).startswith(b"235 ")
            client.submit_until_taken(b"From: carol@example.com\r\n\r\n", "alice@test.example")

    def go_round(self) -> None:
        """Return when the service has been round all its connections once."""
        Client(self.server, "none").leave("close")

    def outcomes(self, attempts: Mapping[Plan, bool]) -> dict[Plan, str]:
        """A word for each attempt, by whether its client heard that the message is taken."""
        kept = self._relay.messages()
        results: dict[str, list[str]] = {}
        for event in self.events.all("message"):
            results.setdefault(event["from"].partition("@")[0], []).append(event["result"])
        return {
            plan: name_outcome(plan, was_heard, kept.get(plan.name, []), results.get(plan.name, []))
            for plan, was_heard in attempts.items()
        }


def name_outcome(plan: Plan, was_heard: bool, kept: list[bytes], results: list[str]) -> str:
    """The word for an attempt, or a text that begins with FAULT."""
    whole = compose(plan.name, plan.size)
    if any(message != whole for message in kept):
        return f"{FAULT}damaged"
    found = (was_heard, len(kept), tuple(results))
    return _WORDS.get(found) or f"{FAULT}heard={was_heard}, kept={len(kept)}, log={','.join(results) or 'nothing'}"
