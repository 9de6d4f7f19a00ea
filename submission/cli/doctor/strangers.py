"""Whether a stranger can send: the forms that testers of open relays try, by every door, before TLS and under it.

Nothing is ever sent, for DATA is never said. MAIL has to be refused; where it isn't, RCPT has to be, for every form of
a recipient elsewhere: so is told who may write to the relay domains only from who may write to everybody.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from submission.cli.doctor.conversation import Conversation, ConversationError
from submission.cli.doctor.doors import Door
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings
from submission.core.replies import Reply
from submission.core.transaction import Via
from submission.smtp.admission import find_admission

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
    senders, recipients = _forms(_SENDERS, settings), _forms(_RECIPIENTS, settings)
    attempts = list(itertools.product(_HELLOS, senders))
    try:
        for start in range(0, len(attempts), ATTEMPTS_IN_A_CONNECTION):
            with enter() as conversation:
                haul.client = conversation.client
                for hello, sender in attempts[start : start + ATTEMPTS_IN_A_CONNECTION]:
                    conversation.say(f"{hello} stranger.example.org")
                    turn = haul.attempts % len(recipients)
                    _attempt(conversation, sender, recipients[turn:] + recipients[:turn], haul)
    except ConversationError as error:
        if not haul.passed:  # what has got through is no less for what came after it
            return door.place.not_tried(tried, f"broken off after {haul.attempts} attempts: {error}")
    return _judge(door, settings, tried, haul)


def _forms(forms: tuple[str, ...], settings: Settings) -> list[str]:
    return [form.format(host=settings.hostname, realm=settings.auth.realm) for form in forms]


def _attempt(conversation: Conversation, sender: str, recipients: list[str], haul: _Haul) -> None:
    """One envelope, as far as it gets: behind a MAIL that was refused the first recipient, else until one is taken."""
    mail = f"MAIL FROM:{sender}"
    reply = _said(conversation, mail)
    if _has_passed(reply):
        haul.passed.append(mail)
    for recipient in recipients if reply.is_positive else recipients[:1]:
        rcpt = f"RCPT TO:{recipient}"
        if _has_passed(_said(conversation, rcpt)):
            haul.passed.append(f"{mail}, {rcpt}")
            haul.relayed.append(f"{mail}, {rcpt}")
            break
    haul.attempts += 1


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
    via = _entitlement(door, settings, haul.client)
    if via is Via.STATIC:
        return door.place.warning(tried, f"{client} is in pop_before_smtp.static: whoever is there may send")
    if haul.relayed:
        text = f"OPEN RELAY: {haul.relayed[0]} is taken from {client}, and {len(haul.relayed) - 1} more ways"
        return door.place.failed(tried, f"{text}; close this port until you know who answers there, and why")
    if via is Via.RELAY:
        return door.place.ok(tried, f"from {client} to pop_before_smtp.relay_domains only")
    text = f"{haul.passed[0]} is not refused from {client}, though all recipients elsewhere are"
    return door.place.failed(tried, f"{text}; is it our service that answers there?")


def _entitlement(door: Door, settings: Settings, client: str) -> Via | None:
    """By which of the admin's lists an address may send."""
    if not (settings.pop_before_smtp.enabled and door.listen.pop_before_smtp):
        return None
    identity = find_admission(settings).identify(client, None)
    return identity.via if identity else None
