"""What is counted: the families of counters, and which event of the log counts where."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import product
from typing import cast

from submission.config.settings import Settings
from submission.core.quotas import WINDOWS
from submission.core.transaction import Via
from submission.metrics.counters import Counters, Family

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper ends, in seconds, of what the relay's replies are sorted into; what takes longer falls behind the last."""
INFINITY = "+Inf"

CONNECTIONS = "submission_connections_total"
AUTH = "submission_auth_total"
MESSAGES = "submission_messages_total"
OCTETS = "submission_message_bytes_total"
RELAY = "submission_relay_seconds"
RELAY_SUM = "submission_relay_seconds_sum"
LOGINS = "submission_pop_logins_total"
LIMITED = "submission_limited_total"

LIMITS = ("connections", "user_connections", "auth_penalty", *WINDOWS)
"""What somebody may run into, as the label has it."""


def families(settings: Settings) -> tuple[Family, ...]:
    """All that is counted by a service with these settings."""
    auth = settings.auth
    mechanisms = (*auth.mechanisms, *(["EXTERNAL"] if auth.certificate_login else []))
    pop = settings.pop_before_smtp
    listeners = [str(listen.address) for listen in settings.listen]
    results = ("ok", "refused", "unknown")
    ends = (*map(bucket_name, BUCKETS), INFINITY)
    return (
        Family(CONNECTIONS, "Connections that have ended.", ("listener",), _every(listeners)),
        Family(AUTH, "Logins, by outcome.", ("mechanism", "result"), _every(mechanisms, ("ok", "fail"))),
        Family(
            MESSAGES,
            "Messages, by what entitled the client and what became of them.",
            ("via", "result"),
            _every([via.value for via in Via], results),
        ),
        Family(OCTETS, "Octets of messages that the relay took."),
        Family(RELAY, "Seconds from the end of a message to the relay's reply.", ("le",), _every(ends)),
        Family(RELAY_SUM, "Seconds of all these together."),
        Family(
            LOGINS,
            "Logins by POP or IMAP that gave a grant.",
            ("server",),
            _every((*pop.formats, *(pattern.name for pattern in pop.pattern))),
        ),
        Family(LIMITED, "How often a limit was run into.", ("limit",), _every(LIMITS)),
    )


def _every(*values: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """All combinations, each once."""
    return tuple(dict.fromkeys(product(*values)))


def bucket_name(end: float) -> str:
    """The end of a bucket as Prometheus writes it."""
    return repr(end)


class Counting:
    """Counts the events of one process. To be called with each, by the process's only thread that logs such events."""

    def __init__(self, counters: Counters, row: int) -> None:
        self._row = counters.row(row)
        self._cells = counters.cells
        self._octets = self._cells[OCTETS, ()]
        self._sum = self._cells[RELAY_SUM, ()]
        self._buckets = [self._cells[RELAY, (end,)] for end in (*map(bucket_name, BUCKETS), INFINITY)]
        self._events = {
            "connection": self._connection,
            "auth": self._auth,
            "message": self._message,
            "overload": self._overload,
            "limited": self._limited,
            "grant": self._grant,
        }

    def __call__(self, name: str, fields: Mapping[str, object]) -> None:
        """Take note of an event and its fields; most are none of ours."""
        count = self._events.get(name)
        if count is not None:
            count(fields)

    def _add(self, name: str, *values: object) -> None:
        cell = self._cells.get((name, values))  # type: ignore[arg-type]  # what isn't a text is no key
        if cell is not None:
            self._row[cell] += 1.0

    def _connection(self, fields: Mapping[str, object]) -> None:
        self._add(CONNECTIONS, fields["listener"])

    def _auth(self, fields: Mapping[str, object]) -> None:
        self._add(AUTH, fields["mech"], fields["result"])
        if fields["reason"] == "penalty":
            self._add(LIMITED, "auth_penalty")

    def _message(self, fields: Mapping[str, object]) -> None:
        self._add(MESSAGES, fields["via"], fields["result"])
        if fields["result"] == "ok":
            self._row[self._octets] += cast("int", fields["size"])
        seconds = fields["relay_seconds"]
        if isinstance(seconds, float):
            self._row[self._buckets[bisect_left(BUCKETS, seconds)]] += 1.0
            self._row[self._sum] += seconds

    def _overload(self, _: Mapping[str, object]) -> None:
        self._add(LIMITED, "connections")

    def _limited(self, fields: Mapping[str, object]) -> None:
        limit = fields["limit"]
        self._add(LIMITED, "user_connections" if limit == "connections" else limit)

    def _grant(self, fields: Mapping[str, object]) -> None:
        self._add(LOGINS, fields["server"])
