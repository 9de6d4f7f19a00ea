"""What the rules of core/policy.py mean for a message: who it is from, whom it goes to, and what its header says.

    refuse_sender       at MAIL
    refuse_recipient    at RCPT
    JudgedMessage       between client and relay: it holds the header back until that is whole, and then refuses the
                        message, or lets it pass with our fields on top; from there on it lets everything pass at once

A header larger than MAX_BLOCK passes as it is, unless there is a rule that it would be a way around.

Whose name a user may send in concerns logins alone: who may send for where it comes from has no name of its own. The
mail of a domain that we are a backup for was submitted elsewhere; its header is the sender's business (RFC 6409).
"""

from __future__ import annotations

from datetime import datetime

from submission import logs
from submission.config.settings import Settings
from submission.core import headers, replies
from submission.core.addresses import Mailbox
from submission.core.header_block import HeaderBlock, find_from, is_in_loop
from submission.core.leaks import SecretFinder
from submission.core.policy import is_rewritten, refuse_from, refuse_sender
from submission.core.replies import Reply
from submission.core.transaction import Envelope, Identity, Peer, Via

_NONE: frozenset[bytes] = frozenset()
_BCC = frozenset((b"bcc", b"resent-bcc"))


class Judge:
    """The rules of an installation, as its sessions ask them."""

    def __init__(self, settings: Settings) -> None:
        policy = settings.policy
        self.takes_rewritten = policy.rewritten_recipients
        self.needs_from = policy.missing_from == "refuse"
        self.removes_bcc = policy.remove_bcc
        self.completes_header = policy.complete_header
        self.hostname = settings.hostname
        self.senders = policy.sender_rules(settings.auth.realm)

    def refuse_sender(self, peer: Peer, identity: Identity, sender: Mailbox) -> Reply | None:
        """The reply to a sender that this client may not name, or None."""
        if identity.login is None or self.senders.allows_sender(identity.login, sender):
            return None
        return self.enforce("sender", refuse_sender(sender, identity), peer, identity)

    def refuse_recipient(self, recipient: Mailbox) -> Reply | None:
        """The reply to a recipient that sendmail might take for another, or None."""
        if self.takes_rewritten or not is_rewritten(recipient):
            return None
        return replies.REWRITTEN_RECIPIENT

    def enforce(self, rule: str, refusal: Reply, peer: Peer, identity: Identity) -> Reply | None:
        """A refusal by a sender rule; where these are only tried, the log has it and the client hears nothing."""
        if self.senders.is_enforced:
            return refusal
        logs.event(
            "policy",
            result="would-refuse",
            rule=rule,
            user=identity.user,
            ip=peer.address,
            via=identity.via.value,
            session=peer.session,
            reply=refusal.text,
        )
        return None


class JudgedMessage:
    """A message on its way. `feed` it all, then `finish`; what they return may go on, until there is a `fault`."""

    def __init__(
        self, judge: Judge, peer: Peer, envelope: Envelope, trace: bytes, when: datetime, *, is_stuffed: bool
    ) -> None:
        """`trace` is the Received field that it gets, at the time `when`; `is_stuffed` whether it travels by DATA."""
        self._judge = judge
        self._peer = peer
        self._identity = envelope.identity
        self._trace = trace
        self._when = when
        self._block: HeaderBlock | None = HeaderBlock(is_stuffed=is_stuffed)
        self._finder = SecretFinder(peer.password.encode()) if peer.password else None
        self.fault: Reply | None = None

    def feed(self, octets: bytes) -> bytes:
        """The next octets of the message; those that may go to the relay, which are none while the header is held."""
        if self._finder is not None and self._finder.feed(octets):
            self.fault = replies.HOLDS_PASSWORD
        if self._block is None or self.fault is not None:
            return b"" if self.fault else octets
        self._block.feed(octets)
        return self._release(self._block) if self._block.is_whole else b""

    def finish(self) -> bytes:
        """Learn that the message is over; what is still to go to the relay before the end."""
        if self._block is None or self.fault is not None:
            return b""
        self._block.finish()
        return self._release(self._block)

    def _release(self, block: HeaderBlock) -> bytes:
        """Judge the header: what goes on of the message so far, if there is no fault."""
        self._block = None
        self.fault = self._refuse(block)
        if self.fault is not None:
            return b""
        removes_bcc = self._judge.removes_bcc and self._is_submitted
        return block.encode(self._trace + self._missing_fields(block), _BCC if removes_bcc else _NONE)

    @property
    def _is_submitted(self) -> bool:
        return self._identity.via is not Via.RELAY

    def _refuse(self, block: HeaderBlock) -> Reply | None:
        if is_in_loop(block):
            return replies.IN_LOOP
        if self._is_submitted:
            if block.is_too_large and (self._judge.needs_from or self._judge.removes_bcc):
                return replies.HEADER_TOO_LARGE
            if self._judge.needs_from and find_from(block) is None:
                return replies.BAD_FROM
        refusal = self._refuse_author(block)
        return self._judge.enforce("from_header", refusal, self._peer, self._identity) if refusal else None

    def _refuse_author(self, block: HeaderBlock) -> Reply | None:
        """The reply to a message in somebody's name whose name isn't the user's."""
        login, rules = self._identity.login, self._judge.senders
        if login is None or rules.from_field == "any":
            return None
        if block.is_too_large:
            return replies.HEADER_TOO_LARGE
        addresses = find_from(block)
        if addresses is None:
            return replies.BAD_FROM
        foreign = rules.find_foreign(login, addresses)
        return refuse_from(foreign, self._identity) if foreign is not None else None

    def _missing_fields(self, block: HeaderBlock) -> bytes:
        """Date and Message-ID for an authenticated user's message, where these aren't there (RFC 6409 section 8)."""
        if not (self._judge.completes_header and self._identity.via is Via.AUTH and block.is_clear):
            return b""
        added = b"" if b"date" in block.names else headers.date(self._when)
        if b"message-id" not in block.names:
            added += headers.message_id(self._judge.hostname)
        return added
