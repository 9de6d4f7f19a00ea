"""A client's transaction, handed over to the relay command by command.

    MAIL        passes our gate (core/transaction.py) and is sent on, the relay's reply promised to the client
    RCPT        is sent on likewise
    DATA        too; only once the replies to all of these are seen may the client begin, and message.py takes over
    BDAT        chunks.py takes the message from here, chunk by chunk

Commands that the client sends in one packet reach the relay in one (RFC 2920).

The rules that every line here serves: MAIL goes on only for an identity; the client hears the relay's replies; a
connection to the relay outlives the transaction only if nothing is under way on it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from submission.core import addresses, extensions, parameters, replies
from submission.core.app_passwords import allows_sender
from submission.core.arguments import parse_recipient, parse_sender
from submission.core.chunks import Chunk
from submission.core.policy import refuse_app_sender
from submission.core.replies import Reply
from submission.core.transaction import Envelope, Identity, Peer, Phase, refuse_mail
from submission.core.xclient import Client
from submission.relay.upstream import RelayError, RelayLostError, RelayUnreachableError, Upstream
from submission.smtp.answers import Answers
from submission.smtp.chunks import ChunkedMessage, skip
from submission.smtp.judging import JudgedMessage
from submission.smtp.message import PATIENCE, Delivery, Outcome, relay_data
from submission.smtp.quotas import Quotas
from submission.smtp.stream import ClientGoneError, ClientIdleError, ClientStream
from submission.smtp.trace import Trace

if TYPE_CHECKING:
    from submission.smtp.listener import Shared


@dataclass(slots=True)
class _Open:
    """A transaction as far as it has come."""

    envelope: Envelope
    upstream: Upstream
    promised: int = 0  # recipients that the relay has not answered yet
    is_refused: bool = False  # the relay's no to MAIL; replies to what came behind it may be under way
    chunks: ChunkedMessage | None = None


class Handover:
    """The transactions of one session, one at a time."""

    def __init__(self, shared: Shared, peer: Peer, stream: ClientStream, answers: Answers) -> None:
        self._shared = shared
        settings = shared.settings  # what of it every message asks is read once
        self._hides_client = settings.policy.hide_client
        self._max_size, self._max_recipients = settings.limits.message_size, settings.limits.recipients
        self._peer = peer
        self._stream = stream
        self._answers = answers
        self._open: _Open | None = None
        self.quotas = Quotas(shared.limiting, peer)
        self.trace = Trace(settings, peer, shared.notes)

    @property
    def max_size(self) -> int:
        """Octets of a message that both we and the relay take."""
        return extensions.message_limit(self._shared.pool.extensions, self._max_size)

    @property
    def max_recipients(self) -> int:
        """Recipients of a message that both we and the relay take."""
        return extensions.recipient_limit(self._shared.pool.extensions, self._max_recipients)

    @property
    def phase(self) -> Phase:
        """How far the transaction has come, a promised recipient counted as one. CONNECTED is the session's to know."""
        transaction = self._open
        if transaction is None or transaction.is_refused:
            return Phase.READY
        if transaction.chunks is not None:
            return Phase.CHUNKS
        return Phase.RECIPIENTS if transaction.envelope.recipients or transaction.promised else Phase.SENDER

    async def settle(self) -> None:
        """Wait for the relay's replies to what was sent on, and write them."""
        await self._answers.settle()
        if self._open is not None and self._open.is_refused:
            self.end()

    async def mail(self, argument: bytes, identity: Identity | None, *, can_start_tls: bool) -> Reply | None:
        """Open a transaction (RFC 5321 section 4.1.1.2) in the name of whoever it is that the client may send for."""
        refusal = refuse_mail(identity, can_start_tls=can_start_tls)
        if refusal is not None or identity is None:
            return refusal
        parsed = parse_sender(argument, self._peer.offered)
        if isinstance(parsed, Reply):
            return parsed
        sender, values = parsed
        envelope = Envelope(sender, identity, values)
        if identity.login and not allows_sender(identity.senders, sender):
            refusal = refuse_app_sender(sender, identity.login)
        else:
            refusal = self._shared.judge.refuse_sender(self._peer, identity, sender)
        if refusal is not None:
            self.trace.log(Outcome(refusal, 0, "sender"), envelope)
            return refusal
        if parameters.declared_size(values) > self.max_size:
            return replies.MESSAGE_TOO_BIG
        refusal = await self.quotas.open(identity)
        if refusal is not None:
            return refusal
        self._open = _Open(envelope, Upstream(self._shared.pool, self._describe_client))
        command = b"MAIL FROM:<" + sender.text + b">" + parameters.encode(self._with_submitter(envelope))
        self._answers.promise(self._open.upstream.send(command), self._take_sender, self._lose)
        return None

    async def recipient(self, argument: bytes) -> Reply | None:
        """Name a recipient (RFC 5321 section 4.1.1.3)."""
        transaction = self._transaction()
        envelope, limit = transaction.envelope, self.max_recipients
        if envelope.recipients + transaction.promised >= limit:
            await self.settle()
            if self._open is not transaction:
                return replies.MAIL_FIRST
            if envelope.recipients >= limit:
                return replies.TOO_MANY_RECIPIENTS
        parsed = parse_recipient(argument, self._peer.offered)
        if isinstance(parsed, Reply):
            return parsed
        mailbox, values = parsed
        refusal = self._shared.admissions.refuse_recipient(envelope.identity, mailbox)
        refusal = refusal or self._shared.judge.refuse_recipient(mailbox)
        if refusal is None:
            refusal = await self.quotas.admit(mailbox)
        if refusal is not None:
            return refusal
        command = b"RCPT TO:<" + mailbox.text + b">" + parameters.encode(values)
        self._answers.promise(transaction.upstream.send(command), self._take_recipient, self._lose)
        transaction.promised += 1
        return None

    async def data(self) -> Outcome:
        """Let the relay ask for the message, and stream it there (RFC 5321 section 4.1.1.4).

        Raises what the client's stream raises; the message was then not delivered, unless the log says `unknown`.
        """
        transaction = self._transaction()
        asked = transaction.upstream.send(b"DATA")
        await self._answers.settle()
        if self._open is not transaction:  # it ended with a 421, or a loss: what was said to DATA beside that is void
            return Outcome(self._complete(replies.RELAY_LOST), 0)
        try:
            reply = await asked
        except RelayError as error:
            return Outcome(self._lose(error), 0, str(error))
        if reply.code == 354 and transaction.envelope.recipients and not transaction.is_refused:
            self._answers.say(reply)
            delivery = self._delivery(transaction)
            message = self._message(transaction.envelope, is_stuffed=True)
            self.trace.messages += 1
            return await self._transfer(delivery, relay_data(self._stream, delivery, message, self.max_size))
        if reply.code == 354:  # for a message that nobody is to get
            transaction.upstream.abort("no valid recipients")
            reply = replies.NO_VALID_RECIPIENTS
        return self._refuse(reply)

    async def chunk(self, chunk: Chunk) -> Outcome:
        """Take a chunk of the message off the client, and pass it on (RFC 3030 section 2). Raises as `data` does."""
        transaction = self._transaction()
        chunks = transaction.chunks
        if chunks is None:
            message = self._message(transaction.envelope, is_stuffed=False)
            delivery = self._delivery(transaction)
            chunks = ChunkedMessage(self._stream, transaction.upstream, delivery, message, self.max_size)
            refusal = await chunks.open()
            if refusal is not None:
                has_ended = await skip(self._stream, chunk, self.max_size * PATIENCE)
                return Outcome(self._refuse(refusal).reply, 0, is_endless=not has_ended)
            transaction.chunks = chunks
            self.trace.messages += 1
        return await self._transfer(chunks.delivery, chunks.relay(chunk))

    async def _transfer(self, delivery: Delivery, transfer: Awaitable[Outcome]) -> Outcome:
        """Stream the message or a chunk; however the message ends, the log has it and the transaction is over."""
        transaction = self._transaction()
        outcome: Outcome | None = None
        try:
            outcome = await transfer
        except (ClientGoneError, ClientIdleError) as error:
            outcome = Outcome(replies.IDLE, 0, f"cut off: {error}")
            raise
        finally:
            if outcome is None:  # cancelled, or a fault of ours
                outcome = Outcome(replies.INTERNAL_ERROR, 0, "interrupted", is_unknown=delivery.is_committed)
            if not outcome.is_open:
                self.trace.log(outcome, transaction.envelope, delivery.wait)
                if outcome.reply.is_positive:
                    self._shared.admissions.note_message(transaction.envelope.identity)
                    self.quotas.keep()
                elif outcome.is_unknown:
                    self.quotas.keep()
                if outcome.reason:
                    transaction.upstream.abort(outcome.reason)
                transaction.chunks = None
                self._heed(outcome.reply)
                self.end()
        return Outcome(self._complete(outcome.reply), outcome.size, is_endless=outcome.is_endless)

    def end(self) -> None:
        """Have no transaction any more; the relay's connection is kept if nothing is under way on it."""
        transaction, self._open = self._open, None
        if transaction is None:
            return
        self.quotas.close()
        if transaction.chunks is not None:
            outcome = Outcome(replies.GIVEN_UP, transaction.chunks.size, "given up by the client")
            self.trace.log(outcome, transaction.envelope)
            transaction.upstream.abort(outcome.reason)
        transaction.upstream.close()

    def _transaction(self) -> _Open:
        if self._open is None:
            raise RuntimeError("a command came in a phase that the table refuses it in")
        return self._open

    def _message(self, envelope: Envelope, *, is_stuffed: bool) -> JudgedMessage:
        """The message that begins, which is not counted yet."""
        now = self._shared.now()
        received = self.trace.received(envelope, now)
        return JudgedMessage(self._shared.judge, self._peer, envelope, received, now, is_stuffed=is_stuffed)

    def _delivery(self, transaction: _Open) -> Delivery:
        return Delivery(transaction.upstream, partial(self.trace.note_end, transaction.envelope))

    def _describe_client(self) -> Client:
        """Who submits, for a relay that wants to know."""
        return Client(self._peer.user or "", self._peer.address, self._peer.hello, is_hidden=self._hides_client)

    def _with_submitter(self, envelope: Envelope) -> parameters.Parameters:
        """The parameters with who authenticated, if anybody did, not what the client says (RFC 4954 section 5)."""
        others = {keyword: value for keyword, value in envelope.parameters.items() if keyword != b"AUTH"}
        if "AUTH" in self._shared.pool.extensions:
            user = self._peer.user
            others[b"AUTH"] = addresses.encode_xtext(user) if user else b"<>"
        return others

    # What the relay says

    def _take_sender(self, reply: Reply) -> Reply:
        transaction = self._open
        if transaction is not None and not reply.is_positive:
            self.trace.log(Outcome(reply, 0), transaction.envelope)
            transaction.is_refused = True
            self._heed(reply)
        return self._complete(reply)

    def _take_recipient(self, reply: Reply) -> Reply:
        transaction = self._open
        if transaction is not None:
            transaction.promised -= 1
            if reply.is_positive:
                transaction.envelope.recipients += 1
            else:
                self.quotas.give_back_recipient()
            if reply.code == 421:  # one refused recipient is no event, this is the end
                self.trace.log(Outcome(reply, 0), transaction.envelope)
        self._heed(reply)
        return self._complete(reply)

    def _refuse(self, reply: Reply) -> Outcome:
        """The relay wants no message. Where that is for want of recipients, the client may name others."""
        transaction = self._transaction()
        if reply.is_positive:  # nonsense, which must never look like a delivery
            return Outcome(self._lose(RelayLostError("2xx to DATA")), 0)
        if transaction.envelope.recipients and not transaction.is_refused:
            self.trace.log(Outcome(reply, 0), transaction.envelope)
        self._heed(reply)
        if transaction.envelope.recipients or transaction.is_refused or transaction.upstream.loss is not None:
            self.end()
        return Outcome(self._complete(reply), 0)

    def _complete(self, reply: Reply) -> Reply:
        """A reply of the relay's for the client: unchanged, but for an enhanced code that it was offered."""
        return reply.with_status() if self._peer.offered else reply

    def _heed(self, reply: Reply) -> None:
        """Take a 421 of the relay's for what it is: it closes, and the transaction is over (RFC 5321 section 3.8)."""
        if reply.code == 421 and self._open is not None:
            self._open.upstream.abort("421")
            self.end()

    def _lose(self, error: RelayError) -> Reply:
        """Give the transaction up, for the relay is gone: the reply for the client, the cause for the log."""
        reply = _explain(error)
        if self._open is not None:
            self.trace.log(Outcome(reply, 0, str(error)), self._open.envelope)
            self._open.upstream.abort("lost")
            self.end()
        return self._complete(reply)


def _explain(error: RelayError) -> Reply:
    """The reply for a client whose relay is gone: the relay's own last word, if it had one."""
    if isinstance(error, RelayUnreachableError):
        return replies.RELAY_UNREACHABLE
    said = error.reply if isinstance(error, RelayLostError) else None
    return said or replies.RELAY_LOST
