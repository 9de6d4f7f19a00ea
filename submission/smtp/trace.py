"""What a message leaves behind: its Received field (RFC 5321 section 4.4), a note at its end, its line in the log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from submission import logs
from submission.core import headers
from submission.core.transaction import Envelope, Peer, Via
from submission.smtp.in_doubt import NOWHERE, Note, Notes
from submission.smtp.message import Outcome

if TYPE_CHECKING:
    from submission.config.settings import Settings

_HOST_NAME = re.compile(r"[A-Za-z0-9_.:\[\]-]+")


class Trace:
    """Of one session's messages."""

    def __init__(self, settings: Settings, peer: Peer, notes: Notes) -> None:
        self._hostname = settings.hostname
        self._hides_client = settings.policy.hide_client
        self._peer = peer
        self._notes = notes
        self._noted = NOWHERE  # the message that isn't in the log yet
        self.messages = 0
        """How many began so far. The one that comes next has this and one as its number."""

    def received(self, envelope: Envelope, now: datetime) -> bytes:
        """The Received field of the message that comes next."""
        peer = self._peer
        hop = headers.Hop(
            hostname=self._hostname,
            extended=bool(peer.offered),
            tls=peer.tls,
            cipher=peer.cipher,
            authenticated=peer.identity is not None,  # by AUTH: RFC 3848 knows of no other way
            utf8=b"SMTPUTF8" in envelope.parameters,
            message_id=f"{peer.session}.{self.messages + 1}",
        )
        client = None
        if not self._hides_client:
            hello = peer.hello if _HOST_NAME.fullmatch(peer.hello) else "unknown"
            literal = f"[IPv6:{peer.address}]" if ":" in peer.address else f"[{peer.address or 'local'}]"
            identity = envelope.identity
            via = "" if identity.via is Via.AUTH else identity.via.value
            client = headers.Client(hello, literal, identity.user or "", via)
        return headers.received(hop, now, client)

    def note_end(self, envelope: Envelope, size: int) -> None:
        """Note a message before its end goes out: if this worker is killed then, somebody else tells the log."""
        identity, count, sender = envelope.identity, envelope.recipients, envelope.sender.text
        via, user = identity.via.value, identity.user
        self._noted = self._notes.note(self._id, self._peer.address, via, count, size, user, sender)

    def log(self, outcome: Outcome, envelope: Envelope, wait: float | None = None) -> None:
        """Tell what became of a message, for whose end the relay took `wait` seconds."""
        peer = self._peer
        result = "unknown" if outcome.is_unknown else "ok" if outcome.reply.is_positive else "refused"
        logs.record(
            "message",
            {
                "result": result,
                "user": envelope.identity.user,
                "ip": peer.address,
                "via": envelope.identity.via.value,
                "from": str(envelope.sender),
                "nrcpt": envelope.recipients,
                "size": outcome.size,
                "session": peer.session,
                "id": self._id,
                "relay_seconds": None if wait is None else round(wait, 4),
                "reply": outcome.reply.text,
                "reason": outcome.reason or None,
            },
        )
        self._notes.strike(self._noted)
        self._noted = NOWHERE

    @property
    def _id(self) -> str:
        return f"{self._peer.session}.{self.messages}"


def describe_unknown(note: Note, reason: str) -> Mapping[str, object]:
    """What there is to log of a message that was noted, and that nobody can tell more of."""
    return {
        "result": "unknown",
        "user": note.user,
        "ip": note.address,
        "via": note.via,
        "from": note.sender,
        "nrcpt": note.recipients,
        "size": note.size,
        "session": note.id.rpartition(".")[0],
        "id": note.id,
        "relay_seconds": None,
        "reason": reason,
    }
