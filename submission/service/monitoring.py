"""Counting in every process, and the server that tells of it: what is made before the fork, and what after.

monitoring = open_monitoring(settings, processes)      as root, before there are any
monitoring.join(number)                                in each, which counts from then on
monitoring.serve(...)                                  in one of them
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from submission import logs
from submission.config.settings import Settings
from submission.credentials import derive_key
from submission.metrics.counters import Counters
from submission.metrics.counting import Counting, families
from submission.metrics.history import History
from submission.metrics.server import MetricsServer, TokenError, bind, read_token
from submission.metrics.status import SERIES, Sources
from submission.service.errors import StartError
from submission.smtp.places import Places
from submission.smtp.tls import ServerTls
from submission.state import State
from submission.state.grants import GrantTable
from submission.state.penalties import KEY_PURPOSE, PenaltyTable


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What all processes have of it."""

    sock: socket.socket | None
    """Where it can be asked; None where it can't."""
    token: str
    counters: Counters
    history: History

    def join(self, number: int, *, serves: bool = False) -> None:
        """Count in this process from now on, in the row of this number; whoever doesn't serve lets go of the socket."""
        logs.subscribe(Counting(self.counters, number))
        if self.sock is not None and not serves:
            self.sock.close()

    def serve(self, settings: Settings, places: Places, tls: ServerTls, state: State) -> MetricsServer | None:
        """The server, not started yet; None where there is nobody to ask it. Raises StoreUnavailableError."""
        if self.sock is None:
            return None
        penalties = PenaltyTable(state, derive_key(settings, KEY_PURPOSE))
        sources = Sources(self.counters, self.history, places, tls, GrantTable(state), penalties)
        return MetricsServer(self.sock, self.token, settings, sources)


def open_monitoring(settings: Settings, processes: int) -> Monitoring:
    """Bind, read the token, and make the memory that so many processes share. Raises StartError."""
    file = settings.metrics.token_file
    try:
        token = read_token(file) if file is not None else ""
    except TokenError as error:
        raise StartError(f"metrics.token_file: {error}", os.EX_CONFIG) from None
    return Monitoring(bind(settings.metrics), token, Counters(families(settings), processes), History(SERIES))
