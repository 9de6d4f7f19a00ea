"""A new key for what is sealed, while logins go on.

    1. the new key is put before the others: it seals from now on, they still open
    2. who is in a transaction is waited for; whoever begins one later sees the new key in it (accounts.py, `reseal`)
    3. each secret that another key sealed is opened and sealed again, a record a transaction
    4. when a look at all records finds none of the others, they are taken out of the file

Whoever is interrupted begins again: a key that was added and seals nothing yet is used, no further one is made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from submission.core.addresses import Login
from submission.credentials.accounts import reseal
from submission.credentials.key_file import KeyFile
from submission.credentials.sealing import Sealer
from submission.credentials.store import Store

_NOBODY = Login("nobody", "nowhere")

Progress = Callable[[int, int], None]
"""Told how many records of how many are done."""


def rekey(store: Store, path: Path, progress: Progress) -> int:
    """Seal everything by a new key, and have no other; how many secrets that were. Raises StoreUnavailableError."""
    file = KeyFile(path)
    if len(file.read_or_make()) == 1:
        file.add()
    sealer = Sealer.from_file(path)
    store.change(_NOBODY, lambda current: current)
    done = 0
    while stale := [record for record in store.records() if record.secret and not sealer.is_current(record.secret)]:
        for number, record in enumerate(stale):
            progress(number, len(stale))
            store.change(record.login, lambda current: current and reseal(sealer, current))
            done += 1
        progress(len(stale), len(stale))
    file.retire()
    return done
