"""The log of the service under test, as events."""

from __future__ import annotations

import shlex

from tests.support.network import wait_until
from tests.support.server import Server

Event = dict[str, str]
"""The fields of a line of the log, `event` among them."""


class Events:
    """What was logged since this was made."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._past = len(server.log())

    def all(self, name: str) -> list[Event]:
        """The events of a name so far."""
        lines = (line for line in self._server.log()[self._past :] if f"event={name}" in line)
        events = (dict(word.split("=", 1) for word in shlex.split(line)) for line in lines)
        return [event for event in events if event["event"] == name]

    def wait(self, name: str) -> Event:
        """The first event of a name, which may be yet to come: the service logs in its own time."""
        wait_until(lambda: bool(self.all(name)))
        return self.all(name)[0]
