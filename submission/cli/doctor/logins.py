"""Whether a wrong password is refused, and in the same words for a user who is there and one who isn't.

Two failed logins, by the first listener that has TLS. They count like any others: for this machine's address, unless
that is in auth.exempt, and for one user, whose first three failures bring no delay. Name and password are always the
same, for what was tried before is not counted again (core/penalties.py): a doctor who comes each hour costs no more.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from submission.cli.doctor.conversation import ConversationError
from submission.cli.doctor.doors import Door
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings
from submission.core.replies import Reply
from submission.credentials import open_store
from submission.credentials.store import StoreUnavailableError

WRONG = "wrong password"

_NOBODY = "nobody-at-all.submission-doctor"
_PASSWORD = "nobody has this password, says submission doctor"  # noqa: S105 - that is the point of it


def try_logins(doors: Sequence[Door], settings: Settings) -> Iterator[Verdict]:
    """One failed login for nobody, one for somebody if there is any."""
    for door in doors:
        if door.listen.tls != "none":
            try:
                yield _try(door, settings)
            except ConversationError as error:
                yield door.place.not_tried(WRONG, str(error))
            return


def _try(door: Door, settings: Settings) -> Verdict:
    reply = _log_in(door, settings, f"{_NOBODY}@{settings.auth.realm}")
    if reply is None:
        return door.place.not_tried(WRONG, "neither PLAIN nor LOGIN is offered")
    if reply.is_positive:
        return door.place.failed(WRONG, "ANYBODY LOGS IN: a user who isn't there, with a password that nobody has")
    if reply.code == 421:
        return door.place.warning(WRONG, f"{reply.text}: see submission penalties, and auth.exempt")
    if reply.code != 535:
        return door.place.failed(WRONG, f"{reply.text}: nobody can log in now, the log says why")
    somebody = _known_user(settings)
    if somebody is None:
        return door.place.ok(WRONG, reply.text)
    other = _log_in(door, settings, somebody)
    if other != reply:
        text = f"tells who is there: {reply.text!r} for nobody, {other and other.text!r} for {somebody}"
        return door.place.failed(WRONG, text)
    return door.place.ok(WRONG, f"{reply.text}, for a user who is there as for one who isn't")


def _log_in(door: Door, settings: Settings, user: str) -> Reply | None:
    """The reply to a wrong password; None where no password can be sent."""
    with door.enter_encrypted() as conversation:
        mechanisms = conversation.hello(settings.hostname).get("AUTH", "").upper().split()
        if "PLAIN" in mechanisms:
            return conversation.say("AUTH PLAIN " + _base64(f"\0{user}\0{_PASSWORD}"))
        if "LOGIN" in mechanisms:
            conversation.say("AUTH LOGIN")
            conversation.say(_base64(user))
            return conversation.say(_base64(_PASSWORD))
    return None


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _known_user(settings: Settings) -> str | None:
    """Some user of the store, None where there is none that we may know of."""
    if not Path(settings.store.url.partition(":")[2]).exists():  # it would be made
        return None
    with contextlib.suppress(StoreUnavailableError), contextlib.closing(open_store(settings.store.url)) as store:
        return next((str(record.login) for record in store.records() if not record.is_disabled), None)
    return None
