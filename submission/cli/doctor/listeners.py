"""Whether each listener answers as it is configured, and offers what it should, where it should."""

from __future__ import annotations

from collections.abc import Iterator

from submission.cli.doctor.conversation import Conversation, ConversationError
from submission.cli.doctor.doors import Door
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings
from submission.core.sasl.external import ExternalMechanism
from submission.core.sasl.registry import works_without_tls
from submission.core.sasl.scram import PLUS

GREETING, CLEAR, ENCRYPTED = "greeting", "offers without TLS", "offers under TLS"


def try_listener(door: Door, settings: Settings) -> Iterator[Verdict]:
    """All that a client sees before it logs in."""
    try:
        with door.enter() as conversation:
            yield _greeting(door, settings, conversation)
            if door.listen.tls != "implicit":
                yield _clear(door, settings, conversation.hello(settings.hostname))
    except ConversationError as error:
        yield door.place.silent(GREETING, f"no answer: {error}; is it running (submission serve), and at this address?")
        return
    if door.listen.tls == "none":
        return
    try:
        with door.enter_encrypted() as conversation:
            yield _encrypted(door, settings, conversation.hello(settings.hostname))
    except ConversationError as error:
        yield door.place.failed(ENCRYPTED, f"no TLS can be had: {error}")


def _greeting(door: Door, settings: Settings, conversation: Conversation) -> Verdict:
    greeting = conversation.greeting
    if greeting.code != 220:
        return door.place.failed(GREETING, f"{greeting.text}: it takes no clients now, its log says why")
    name = greeting.lines[0].decode("latin-1").partition(" ")[0]
    if name != settings.hostname:
        text = f"greets as {name}, not as {settings.hostname}: another program has this port, or runs by other settings"
        return door.place.failed(GREETING, text)
    return door.place.ok(GREETING, f"answers as {name}")


def _clear(door: Door, settings: Settings, offered: dict[str, str]) -> Verdict:
    """What may be offered to whom anybody can listen to."""
    mechanisms = offered.get("AUTH", "").upper().split()
    if sent := [name for name in mechanisms if not _may_go_clear(name)]:
        return door.place.failed(CLEAR, f"offers {', '.join(sent)}, by which a password is sent in the clear")
    if mechanisms and settings.auth.require_tls:
        text = f"offers AUTH {' '.join(mechanisms)} although auth.require_tls is true; restart it if that is new"
        return door.place.failed(CLEAR, text)
    wants_tls = door.listen.tls == "starttls"
    if wants_tls and "STARTTLS" not in offered:
        return door.place.failed(
            CLEAR, 'doesn\'t offer STARTTLS, which its tls = "starttls" says; restart it if that is new'
        )
    if not wants_tls and "STARTTLS" in offered:
        return door.place.failed(
            CLEAR, 'offers STARTTLS, which its tls = "none" doesn\'t say; restart it if that is new'
        )
    return door.place.ok(CLEAR, f"{'STARTTLS' if wants_tls else 'no TLS'}, {_listed(mechanisms)}")


def _encrypted(door: Door, settings: Settings, offered: dict[str, str]) -> Verdict:
    mechanisms = offered.get("AUTH", "").upper().split()
    configured = settings.auth.mechanisms
    if extra := [name for name in mechanisms if name not in configured]:
        text = f"offers {', '.join(extra)}, which auth.mechanisms doesn't name; restart it if that is new"
        return door.place.failed(ENCRYPTED, text)
    # Nobody can be logged in by a certificate that shows none.
    missing = [name for name in configured if name not in mechanisms and name != ExternalMechanism.NAME]
    if not missing:
        return door.place.ok(ENCRYPTED, _listed(mechanisms))
    if all(name.startswith("SCRAM-") for name in missing):
        reason = "some login has no keys for it, until its next login by PLAIN or LOGIN"
        if all(name.endswith(PLUS) for name in missing):
            reason = "the certificate's kind of signature has nothing to bind it to"
        return door.place.warning(ENCRYPTED, f"{_listed(mechanisms)}; {', '.join(missing)} held back: {reason}")
    text = f"doesn't offer {', '.join(missing)}, which auth.mechanisms names; restart it if that is new"
    return door.place.failed(ENCRYPTED, text)


def _may_go_clear(mechanism: str) -> bool:
    try:
        return works_without_tls(mechanism)
    except KeyError:  # none of ours: nobody knows what it sends
        return False


def _listed(mechanisms: list[str]) -> str:
    return f"AUTH {' '.join(mechanisms)}" if mechanisms else "no AUTH"
