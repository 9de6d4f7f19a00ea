"""Whether the files that the service lives on are there, closed to others, open to it, and fit each other.

What `submission check` minds is minded here in its words (check.py's `examine`); what is added is what only a running
installation has: accounts, a key that opens them, room on the disk.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from submission.cli.check import examine
from submission.cli.doctor.verdict import Outcome, Place, Verdict
from submission.config import Settings
from submission.credentials import open_store
from submission.credentials.accounts import SECRET
from submission.credentials.key_file import KeyFile
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, StoreUnavailableError

ACCOUNTS, KEY, ROOM = "accounts", "sealing key", "room on the disk"
LITTLE_ROOM = 100 << 20
"""Octets; the service itself needs few, but a log beside it takes what there is."""

FILES = Place("files")


def try_files(settings: Settings) -> Iterator[Verdict]:
    """All files, or none where we are neither root nor whom they belong to."""
    owner = _owner(settings.state_dir)
    if os.geteuid() not in (0, owner):
        who = "root" if owner is None else f"root or as the owner of {settings.state_dir}"
        yield FILES.not_tried("modes, store and key", f"run it as {who}")
        return
    found = list(_examined(settings))
    yield from found
    if not any(verdict.tried.startswith("store.") for verdict in found if verdict.outcome is Outcome.FAILED):
        yield from _store(settings)
    yield from _room(settings.state_dir)


def _owner(folder: Path) -> int | None:
    try:
        return folder.stat().st_uid
    except OSError:
        return None


def _examined(settings: Settings) -> Iterator[Verdict]:
    """What check finds, and a word on what it looked at and found nothing."""
    findings = list(examine(settings, datetime.now(UTC)))
    for finding in findings:
        make = FILES.warning if finding.is_warning else FILES.failed
        yield make(finding.key, finding.text)
    looked_at = ["user", "state_dir", "store.url", "store.key_file"]
    if settings.tls.certificate is not None:
        looked_at += ["tls.certificate", "tls.key"]
    for key in looked_at:
        if not any(finding.key == key for finding in findings):
            yield FILES.ok(key)


def _store(settings: Settings) -> Iterator[Verdict]:
    path = Path(settings.store.url.partition(":")[2])
    if not path.exists():  # to open it would make it
        text = f"{path} isn't there: does the service run by this file? It makes one when it starts"
        yield FILES.failed(ACCOUNTS, text)
        return
    try:
        with contextlib.closing(open_store(settings.store.url)) as store:
            records, keeps_clear = list(store.records()), store.keeps_clear
    except StoreUnavailableError as error:
        yield FILES.failed(ACCOUNTS, f"{error}; logins are answered with 454")
        return
    if records:
        yield FILES.ok(ACCOUNTS, f"{len(records)} in {path}")
    else:
        yield FILES.warning(ACCOUNTS, f"none in {path}: nobody can log in; submission-passwd -c USER makes one")
    if not keeps_clear:
        yield _key(settings.store.key_file, records)


def _key(file: Path, records: list[Record]) -> Verdict:
    """Whether the key opens what was sealed: a restored backup may hold one without the other."""
    try:
        key = KeyFile(file)
        sealer = Sealer(key.read(), key)
        sealed = [record for record in records if record.secret]
        for record in sealed:
            sealer.open(record.secret, record.login, SECRET)
    except StoreUnavailableError as error:
        return FILES.failed(KEY, f"{error}; restore {file} from the backup that the accounts are from")
    return FILES.ok(KEY, f"opens {len(sealed)} sealed passwords")


def _room(folder: Path) -> Iterator[Verdict]:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # a finding of state_dir's
        return
    text = f"{free >> 20} MiB free at {folder}"
    yield FILES.ok(ROOM, text) if free >= LITTLE_ROOM else FILES.warning(ROOM, f"only {text}")
