"""Counting in every process, and the server that tells of it: what is made before the fork, and what after.

monitoring = open_monitoring(settings, processes)      as root, before there are any
monitoring.join(number)                                in each, which counts from then on
monitoring.serve(...)                                  in one of them
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from submission import logs
from submission.config.settings import Settings
from submission.credentials import derive_key
from submission.metrics.counters import Counters
from submission.metrics.counting import Counting, families
from submission.metrics.history import History
from submission.metrics.server import Access, MetricsServer, TokenError, open_access
from submission.metrics.status import SERIES, Sources
from submission.service.errors import StartError
from submission.smtp.in_doubt import Note
from submission.smtp.places import Places
from submission.smtp.tls import ServerTls
from submission.smtp.trace import describe_unknown
from submission.state import State, penalties, quotas
from submission.state.grants import GrantTable
from submission.state.penalties import PenaltyTable
from submission.state.quotas import QuotaTable


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What all processes have of it."""

    access: Access | None
    """Where it can be asked; None where it can't."""
    counters: Counters
    history: History

    def extend(self, settings: Settings) -> None:
        """Count what there is with other settings, too, in processes that are started from now on."""
        self.counters.extend(families(settings))

    @property
    def sockets(self) -> list[socket.socket]:
        """The one, if there is one."""
        return [self.access.sock] if self.access is not None else []

    def join(self, number: int, *, serves: bool = False) -> None:
        """Count in this process from now on, in the row of this number; whoever doesn't serve lets go of the socket."""
        logs.subscribe(Counting(self.counters, number))
        if not serves:
            for sock in self.sockets:
                sock.close()

    def tell_unknown(self, notes: Iterable[Note], number: int, reason: str) -> None:
        """Log messages that were left in doubt, and count them in the row with this number, whose process is gone."""
        count = Counting(self.counters, number)
        for note in notes:
            fields = describe_unknown(note, reason)
            logs.record("message", fields)
            count("message", fields)

    def serve(self, settings: Settings, places: Places, tls: ServerTls, state: State) -> MetricsServer | None:
        """The server, not started yet; None where there is nobody to ask it. Raises StoreUnavailableError."""
        if self.access is None:
            return None
        sources = Sources(
            self.counters,
            self.history,
            places,
            tls,
            GrantTable(state),
            PenaltyTable(state, derive_key(settings, penalties.KEY_PURPOSE)),
            QuotaTable(state, derive_key(settings, quotas.KEY_PURPOSE)),
            settings.limits,
        )
        return MetricsServer(self.access, settings, sources)


def open_monitoring(settings: Settings, processes: int) -> Monitoring:
    """Bind, read the token, and make the memory that so many processes share. Raises StartError."""
    try:
        access = open_access(settings.metrics)
    except TokenError as error:
        raise StartError(f"metrics.token_file: {error}", os.EX_CONFIG) from None
    return Monitoring(access, Counters(families(settings), processes), History(SERIES))
