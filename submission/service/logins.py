"""From the lines of mail logs to grants: what popwatch reads, core/poplog understands and the table keeps.

It blocks, so it has a thread of its own. Each batch of lines is stored as one step, what follows from it together with
the place behind it, and is tried until it is: so no login is lost, and none counts twice, whoever is killed when.

A login counts from the moment when it is seen, where its line was just written: whoever can write into a log could
write any time into it. Only in what is caught up with is a line's own time believed. One that is yet to come is of
last year, for syslog leaves the year out, or of nobody knows when: it grants nothing.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from submission import logs
from submission.config.settings import Settings
from submission.core.admission import Admission
from submission.core.grants import Grant
from submission.core.poplog import PopLogin
from submission.core.poplog.pattern import Pattern
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from submission.popwatch import Batch
from submission.popwatch.watcher import Watcher
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable

SKEW = 3600.0
"""Seconds that a line may be ahead of us: a clock, or the hour that a year has twice."""
RETRY = 1.0
"""Seconds before a batch that couldn't be stored is tried again."""


class LoginFollower:
    """Feeds a table from the logs of the configuration."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        table: GrantTable,
        sockets: Mapping[str, socket.socket] | None = None,
    ) -> None:
        """`sockets` are those of logs that are syslog's. Raises StateUnavailableError."""
        pop = settings.pop_before_smtp
        self._admission = admission
        self._lifetime = pop.lifetime
        self._table = table
        self._reader = Reader(
            [FORMATS[name] for name in pop.formats], [Pattern(each.name, each.regex) for each in pop.pattern]
        )
        self._watcher = Watcher(pop.logs, table.positions(), sockets)

    def run(self, stop: threading.Event) -> None:
        """Follow until told to stop."""
        try:
            for batch in self._watcher.batches(stop):
                self._store(batch, stop)
        finally:
            self._watcher.close()

    def _store(self, batch: Batch, stop: threading.Event) -> None:
        grants = list(self._grants(batch, time.time()))
        positions = {batch.source: batch.position} if batch.position else {}
        while True:  # once in any case: not every source can be asked again
            try:
                for grant in self._table.record(grants, positions):
                    _log(grant)
                return
            except StateUnavailableError as error:
                logs.failure("state-unavailable", error)
                if stop.wait(RETRY):
                    return

    def _grants(self, batch: Batch, now: float) -> Iterator[Grant]:
        """What follows from the lines."""
        for line in batch.lines:
            login = self._reader.feed(line, now)
            if login is None or not self._admission.may_have_grant(str(login.address)):
                continue
            user = self._admission.find_login(login.user)
            if user is None:
                logs.event("grant-refused", user=login.user, ip=str(login.address), reason="not the name of a login")
                continue
            when = now if batch.is_live else _when(login, batch)
            if when <= now + SKEW:
                when = min(when, now)
                yield Grant(str(login.address), str(user), login.proto, login.server, when, when, when + self._lifetime)


def _when(login: PopLogin, batch: Batch) -> float:
    """When it was by its line, or by the file that this is in; a time without a zone is of the local one."""
    try:
        return login.time.timestamp() if login.time is not None else batch.when
    except (ValueError, OverflowError):  # in the year 1, of which there is no local time
        return 0.0


def _log(grant: Grant) -> None:
    if grant.until <= time.time():  # from a log that was caught up with
        return
    logs.event(
        "grant",
        user=grant.user,
        ip=grant.address,
        proto=grant.protocol,
        server=grant.server,
        until=f"{datetime.fromtimestamp(grant.until, UTC):%Y-%m-%dT%H:%M:%SZ}",
    )
