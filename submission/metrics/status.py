"""How things stand, as JSON has it: what the status page and `submission status` show.

Text that others made (names of users, a relay's words) is in there as it is; whoever shows it has to quote it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import cast

from submission import logs
from submission.config.limits import Limits
from submission.metrics.counters import Counters
from submission.metrics.counting import AUTH, LIMITED, MESSAGES, RELAY, RELAY_SUM
from submission.metrics.health import Condition
from submission.metrics.history import History
from submission.smtp.places import Places
from submission.smtp.tls import ServerTls
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.penalties import PenaltyTable
from submission.state.quotas import QuotaTable

MAX_ROWS = 50
"""Of each list; how many there are in all is told beside it."""
NEAR = 0.8
"""The part of a limit from which on somebody is near to it."""
CHARTS = {"hour": (60, 1), "day": (96, 15)}
"""Points of a chart, and minutes of each."""
SERIES = 5
"""What the history keeps: `totals`."""

_Table = dict[str, object]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where it is read."""

    counters: Counters
    history: History
    places: Places
    tls: ServerTls
    grants: GrantTable
    penalties: PenaltyTable
    quotas: QuotaTable
    limits: Limits

    def note(self, now: float) -> None:
        """Let the history know what has been counted so far; at least each minute, on one thread."""
        self.history.note(int(now // 60), totals(self.counters))

    def expiry(self, now: float) -> float | None:
        """Seconds until the first of the certificates expires; None without any."""
        return min((certificate.end.timestamp() - now for certificate in self.tls.certificates), default=None)


def totals(counters: Counters) -> tuple[float, ...]:
    """Messages that were accepted; refusals; failed logins; seconds that the relay took for how many replies."""
    return (
        counters.sum(MESSAGES, result="ok"),
        counters.sum(MESSAGES, result="refused") + counters.sum(LIMITED),
        counters.sum(AUTH, result="fail"),
        counters.total(RELAY_SUM),
        counters.sum(RELAY),
    )


def describe(sources: Sources, conditions: Sequence[Condition], now: float) -> _Table:
    """All of it at the time `now`, in seconds since the epoch, as are all times in it. Blocks."""
    return {
        "time": now,
        "is_healthy": not any(condition.fault for condition in conditions),
        "health": [asdict(condition) for condition in conditions],
        "sessions": sources.places.count(),
        "charts": {name: _chart(sources.history, now, *size) for name, size in CHARTS.items()},
        "failures": _rows(_failures, sources, now),
        "limits": _rows(_limits, sources, now),
        "grants": _rows(_grants, sources, now),
        "certificates": [
            {"file": str(each.file), "names": each.names, "days": (each.end - datetime.fromtimestamp(now, UTC)).days}
            for each in sources.tls.certificates
        ],
    }


def _chart(history: History, now: float, points: int, step: int) -> _Table:
    """Numbers a point, the oldest first; `relay_seconds` are means, null where the relay was asked nothing."""
    messages, refusals, failures, seconds, replies = history.sums(int(now // 60), points, step)
    return {
        "minutes": step,
        "messages": messages,
        "refusals": refusals,
        "failures": failures,
        "relay_seconds": [total / count if count else None for total, count in zip(seconds, replies, strict=True)],
    }


def _rows(read: Callable[[Sources, float], list[_Table]], sources: Sources, now: float) -> _Table:
    """The first rows of a list, and how many there are; null where that can't be told now."""
    try:
        rows = read(sources, now)
    except StateUnavailableError as error:
        logs.failure("state-unavailable", error)
        return {"total": None, "rows": []}
    return {"total": len(rows), "rows": rows[:MAX_ROWS]}


def _failures(sources: Sources, now: float) -> list[_Table]:
    """Addresses and networks whose logins failed, the worst first. Whose names were tried is not told here."""
    found = [(key.partition(" "), penalty) for key, penalty in sources.penalties.penalties().items()]
    rows: list[_Table] = [
        {"address": address, "failures": penalty.count(now), "refused_until": penalty.refused_until}
        for (kind, _, address), penalty in found
        if kind != "user"
    ]
    return sorted(rows, key=operator.itemgetter("failures"), reverse=True)


def _limits(sources: Sources, now: float) -> list[_Table]:
    """Users, and addresses without a login, who have used up most of what they may send, the nearest first."""
    rows: list[_Table] = []
    for key, usage in sources.quotas.usages().items():
        kind, _, name = key.partition(" ")
        limits = sources.limits.user if kind == "user" else sources.limits.address
        used = {limit: usage.used(limit, now) for limit in limits.windows}
        rows += [
            {"who": name, "limit": limit.name, "used": count, "most": limit.most}
            for limit, count in used.items()
            if count >= NEAR * limit.most
        ]
    return sorted(rows, key=_share, reverse=True)


def _share(row: _Table) -> float:
    return cast("int", row["used"]) / cast("int", row["most"])


def _grants(sources: Sources, _: float) -> list[_Table]:
    """The grants of POP before SMTP, the last to end first."""
    grants = sorted(sources.grants.grants(), key=lambda grant: grant.until, reverse=True)
    return [
        {"address": grant.address, "user": grant.user, "server": grant.server, "until": grant.until} for grant in grants
    ]
