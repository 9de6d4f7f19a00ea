"""Whether a stranger can send: the forms that testers of open relays try, by every door, before TLS and under it.

Nothing is ever sent, for DATA is never said. MAIL has to be refused; where it isn't, RCPT has to be, for the recipients
are all elsewhere: so is told who may write to the relay domains only from who may write to everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from submission.cli.doctor.conversation import Conversation, ConversationError
from submission.cli.doctor.doors import Door
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings
from submission.core.replies import Reply
from submission.core.transaction import Identity, Via
from submission.smtp.admission import Admissions, find_admission, open_admissions
from submission.state import StateUnavailableError
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState

CLEAR, ENCRYPTED = "stranger without TLS", "stranger under TLS"

ATTEMPTS_IN_A_CONNECTION = 2
"""So few that none is delayed: for too many errors here, for a third EHLO by sendmail."""

_HELLOS = ("EHLO", "HELO")
_SENDERS = (
    "<>",
    "<stranger@example.org>",
    "<postmaster@{host}>",
    "<postmaster@{realm}>",
    "<root@localhost>",
    "<root@[127.0.0.1]>",
    "<root>",
    "<stranger@example.org> AUTH=<>",
    "<> AUTH=postmaster@{realm}",
    "<postmaster@{realm}> AUTH=<postmaster@{realm}>",
)
_RECIPIENTS = (
    "<victim@example.com>",
    "<victim%example.com@{host}>",
    "<victim%example.com@[127.0.0.1]>",
    "<victim%example.com>",
    '<"victim@example.com">',
    '<"victim@example.com"@{host}>',
    "<victim@example.com@{host}>",
    "<@{host}:victim@example.com>",
    "<@[127.0.0.1]:victim@example.com>",
    "<example.com!victim>",
    "<example.com!victim@{host}>",
)


@dataclass(slots=True)
class _Haul:
    """What strangers got out of one door."""

    client: str = ""  # who they were for the server
    attempts: int = 0
    passed: list[str] = field(default_factory=list)  # all that was not refused
    relayed: list[str] = field(default_factory=list)  # of that, what had a recipient


def try_strangers(door: Door, settings: Settings) -> Iterator[Verdict]:
    """The whole matrix."""
    if door.listen.tls != "implicit":
        yield _try(door, settings, CLEAR, door.enter)
    if door.listen.tls != "none":
        yield _try(door, settings, ENCRYPTED, door.enter_encrypted)


def _try(door: Door, settings: Settings, tried: str, enter: Callable[[], Conversation]) -> Verdict:
    haul = _Haul()
    envelopes = itertools.product(_HELLOS, _forms(_SENDERS, settings))
    attempts = list(zip(envelopes, itertools.cycle(_forms(_RECIPIENTS, settings)), strict=False))
    try:
        for start in range(0, len(attempts), ATTEMPTS_IN_A_CONNECTION):
            with enter() as conversation:
                haul.client = conversation.client
                for (hello, sender), recipient in attempts[start : start + ATTEMPTS_IN_A_CONNECTION]:
                    conversation.say(f"{hello} stranger.example.org")
                    _attempt(conversation, sender, recipient, haul)
    except ConversationError as error:
        if not haul.passed:  # what has got through is no less for what came after it
            return door.place.not_tried(tried, f"broken off at attempt {haul.attempts}: {error}")
    return _judge(door, settings, tried, haul)


def _forms(forms: tuple[str, ...], settings: Settings) -> list[str]:
    return [form.format(host=settings.hostname, realm=settings.auth.realm) for form in forms]


def _attempt(conversation: Conversation, sender: str, recipient: str, haul: _Haul) -> None:
    """One envelope: RCPT comes behind a MAIL that was refused, too, for a server may not mind."""
    haul.attempts += 1
    if _has_passed(_said(conversation, f"MAIL FROM:{sender}")):
        haul.passed.append(f"MAIL FROM:{sender}")
    if _has_passed(_said(conversation, f"RCPT TO:{recipient}")):
        haul.passed.append(f"RCPT TO:{recipient}")
        haul.relayed.append(f"MAIL FROM:{sender}, RCPT TO:{recipient}")


def _has_passed(reply: Reply) -> bool:
    """Whether a command got by the gate: a 4xx comes from behind it, and a second try might be a yes."""
    return reply.code < 500


def _said(conversation: Conversation, command: str) -> Reply:
    reply = conversation.say(command)
    if reply.code == 421:
        raise ConversationError(reply.text)
    return reply


def _judge(door: Door, settings: Settings, tried: str, haul: _Haul) -> Verdict:
    client = haul.client or "this socket"
    if not haul.passed:
        return door.place.ok(tried, f"{haul.attempts} ways to send from {client} without a login, all refused")
    identity = _identity(door, settings, haul.client)
    via = identity.via if identity else None
    if via is Via.STATIC:
        return door.place.warning(tried, f"{client} is in pop_before_smtp.static: whoever is there may send")
    if via is Via.POP and identity:
        return door.place.warning(tried, f"{client} has a grant of {identity.user}'s: submission pop list")
    if haul.relayed:
        text = (
            f"OPEN RELAY: {haul.relayed[0]} is taken from {client}, {len(haul.relayed)} of {haul.attempts} ways to send"
        )
        return door.place.failed(tried, f"{text}; close this port until you know who answers there, and why")
    if via is Via.RELAY:
        return door.place.ok(tried, f"from {client} to pop_before_smtp.relay_domains only")
    text = f"{haul.passed[0]} is not refused from {client}, though all recipients elsewhere are"
    return door.place.failed(tried, f"{text}; is it our service that answers there?")


def _identity(door: Door, settings: Settings, client: str) -> Identity | None:
    """As whom an address may send without a login, by POP before SMTP."""
    if not door.listen.pop_before_smtp:
        return None
    file = settings.state_dir / "state.db"
    try:
        if file.exists():  # it would be made
            with contextlib.closing(SqliteState(file)) as state:
                return asyncio.run(_ask(open_admissions(settings, GrantTable(state)), client))
    except (OSError, StateUnavailableError):  # not ours to read: the lists are known all the same
        pass
    return find_admission(settings).identify(client, None) if settings.pop_before_smtp.enabled else None


async def _ask(admissions: Admissions, client: str) -> Identity | None:
    await admissions.look_up()
    return await admissions.identify(client)
