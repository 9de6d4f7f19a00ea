"""What a worker does for the limits on users and addresses, beside its sessions; nothing where there are none."""

from __future__ import annotations

import asyncio

from submission import logs
from submission.config.settings import Settings
from submission.credentials import derive_key
from submission.credentials.authenticator import Authenticator
from submission.service.alarm import Alarm
from submission.smtp.places import Row
from submission.smtp.quotas import Limiting
from submission.state import State, StateUnavailableError
from submission.state.quotas import KEY_PURPOSE, QuotaTable

RELEASE = 1.0
"""Seconds between looks at what was taken ahead of what users may send."""


def open_limiting(settings: Settings, state: State, authenticator: Authenticator, places: Row) -> Limiting | None:
    """What the sessions need for the limits that are set, if any are. Raises StoreUnavailableError."""
    user, address = settings.limits.user, settings.limits.address
    if not (user.windows or user.connections or address.windows):
        return None
    alarm = Alarm(user.alert, authenticator.suspend if user.suspend else None)
    table = QuotaTable(state, derive_key(settings, KEY_PURPOSE))
    return Limiting(settings.limits, table, places, alarm)


async def keep_releasing(limiting: Limiting | None) -> None:
    """Hand back what was taken ahead and isn't needed, until cancelled."""
    while limiting is not None:
        await asyncio.sleep(RELEASE)
        try:
            await limiting.table.release()
        except StateUnavailableError as error:
            logs.failure("state-unavailable", error)


def close_limiting(limiting: Limiting | None) -> None:
    """Hand back all of it, and see to the alarms that are still waiting. Blocks."""
    if limiting is None:
        return
    try:
        limiting.table.close()
    except StateUnavailableError as error:
        logs.failure("state-unavailable", error)
    limiting.alarm.close()
