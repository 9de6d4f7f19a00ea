"""A client's transaction, handed over to the relay command by command.

    MAIL        passes our gate (core/transaction.py), then the relay's: its reply is ours
    RCPT        is sent on at once, its reply promised to the client
    DATA        the relay asks for the message, message.py streams it there

The rules that every line here serves: MAIL goes on only for an identity; the client hears the relay's replies
unchanged; a connection to the relay outlives the transaction only if nothing is under way on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from submission import logs
from submission.core import addresses, extensions, headers, parameters, replies
from submission.core.replies import Reply
from submission.core.transaction import Envelope, Peer, Phase, refuse_mail
from submission.relay.upstream import RelayError, RelayLostError, RelayUnreachableError, Upstream
from submission.smtp.answers import Answers
from submission.smtp.message import Outcome, Transfer
from submission.smtp.stream import ClientGoneError, ClientIdleError, ClientStream

if TYPE_CHECKING:
    from submission.smtp.listener import Shared

_HOST_NAME = re.compile(r"[A-Za-z0-9_.:\[\]-]+")


@dataclass(slots=True)
class _Open:
    """A transaction that the relay has agreed to."""

    envelope: Envelope
    upstream: Upstream


class Handover:
    """The transactions of one session, one at a time. `phase` is never CONNECTED: that is the session's to know."""

    def __init__(self, shared: Shared, peer: Peer, stream: ClientStream, answers: Answers) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._peer = peer
        self._stream = stream
        self._answers = answers
        self._open: _Open | None = None
        self.phase = Phase.READY
        self.messages = 0

    @property
    def max_size(self) -> int:
        """Octets of a message that both we and the relay take."""
        return extensions.message_limit(self._shared.pool.extensions, self._settings.limits.message_size)

    async def mail(self, argument: bytes, *, can_start_tls: bool) -> Reply:
        """Open a transaction (RFC 5321 section 4.1.1.2)."""
        refusal = refuse_mail(self._peer.identity, can_start_tls=can_start_tls)
        if refusal is not None:
            return refusal
        parsed = self._parse(argument, b"FROM:", parameters.MAIL, replies.BAD_SENDER)
        if isinstance(parsed, Reply):
            return parsed
        sender, values = parsed
        if parameters.declared_size(values) > self.max_size:
            return replies.MESSAGE_TOO_BIG
        envelope = Envelope(sender, values)
        command = b"MAIL FROM:<" + sender.text + b">" + parameters.encode(self._with_submitter(values))
        try:
            upstream, reply = await self._shared.pool.begin(command)
        except RelayError as error:
            outcome = Outcome(_explain(error), 0, str(error))
            self._log(outcome, envelope)
            return outcome.reply
        self._open = _Open(envelope, upstream)
        if reply.is_positive:
            self.phase = Phase.SENDER
        else:
            self._log(Outcome(reply, 0), envelope)
            self._heed(reply)
            self.end()
        return reply

    async def recipient(self, argument: bytes) -> Reply | None:
        """Send a recipient on, its reply promised (RFC 5321 section 4.1.1.3)."""
        transaction = self._transaction()
        limit = self._settings.limits.recipients
        if transaction.envelope.recipients + len(self._answers) >= limit:
            await self._answers.settle()
            if self._open is not transaction:
                return replies.MAIL_FIRST
            if transaction.envelope.recipients >= limit:
                return replies.TOO_MANY_RECIPIENTS
        parsed = self._parse(argument, b"TO:", parameters.RCPT, replies.BAD_RECIPIENT)
        if isinstance(parsed, Reply):
            return parsed
        mailbox, values = parsed
        upstream = transaction.upstream
        future = upstream.send(b"RCPT TO:<" + mailbox.text + b">" + parameters.encode(values))
        self._answers.promise(future, self._count, self._lose)
        if "PIPELINING" not in upstream.extensions:
            await self._answers.settle()
        return None

    async def data(self) -> Outcome:
        """Let the relay ask for the message, and stream it there (RFC 5321 section 4.1.1.4).

        Raises what the client's stream raises; the message was then not delivered, unless the log says `unknown`.
        """
        transaction = self._transaction()
        upstream = transaction.upstream
        try:
            reply = await upstream.send(b"DATA")
        except RelayLostError as error:
            return Outcome(self._lose(error), 0, str(error))
        if reply.code != 354:
            if reply.is_positive:  # nonsense, which must never look like a delivery
                upstream.abort("2xx to DATA")
                return Outcome(self._lose(RelayLostError("2xx to DATA")), 0)
            outcome = Outcome(reply, 0)
            self._log(outcome, transaction.envelope)
            self._heed(reply)
            self.end()
            return outcome
        self.messages += 1
        self._answers.say(reply)
        return await self._transfer(transaction)

    async def _transfer(self, transaction: _Open) -> Outcome:
        """Stream the message; however that ends, the log has it and the transaction is over."""
        transfer = Transfer(self._stream, transaction.upstream, self.max_size)
        outcome: Outcome | None = None
        try:
            await self._stream.flush()
            outcome = await transfer.relay(self._trace(transaction.envelope))
        except (ClientGoneError, ClientIdleError) as error:
            outcome = Outcome(replies.IDLE, 0, f"cut off: {error}")
            raise
        finally:
            if outcome is None:  # cancelled, or a fault of ours
                outcome = Outcome(replies.INTERNAL_ERROR, 0, "interrupted", is_unknown=transfer.is_committed)
            self._log(outcome, transaction.envelope)
            if outcome.reason:
                transaction.upstream.abort(outcome.reason)
            self._heed(outcome.reply)
            self.end()
        return outcome

    def end(self) -> None:
        """Have no transaction any more; the relay's connection is kept if nothing is under way on it."""
        transaction, self._open = self._open, None
        self.phase = Phase.READY
        if transaction is not None:
            self._shared.pool.keep(transaction.upstream)

    def _transaction(self) -> _Open:
        if self._open is None:
            raise RuntimeError("a command came in a phase that the table refuses it in")
        return self._open

    def _parse(
        self, argument: bytes, prefix: bytes, known: parameters.Known, malformed: Reply
    ) -> tuple[addresses.Mailbox, parameters.Parameters] | Reply:
        """Mailbox and parameters of MAIL or RCPT, or the reply that refuses them."""
        split = addresses.split_path(argument, prefix)
        if split is None:
            return malformed
        path, rest = split
        is_null = not path and known is parameters.MAIL
        mailbox = addresses.NULL if is_null else addresses.parse_mailbox(path)
        if mailbox is None:
            return replies.BAD_PATH
        if not mailbox.is_ascii and "SMTPUTF8" not in self._peer.offered:
            return replies.NON_ASCII_ADDRESS
        values = parameters.parse(rest, known, self._peer.offered)
        return values if isinstance(values, Reply) else (mailbox, values)

    def _with_submitter(self, values: parameters.Parameters) -> parameters.Parameters:
        """The parameters with who submits as we know it, not as the client says (RFC 4954 section 5)."""
        others = {keyword: value for keyword, value in values.items() if keyword != b"AUTH"}
        if self._peer.identity is not None and "AUTH" in self._shared.pool.extensions:
            others[b"AUTH"] = addresses.encode_xtext(str(self._peer.identity.login))
        return others

    def _count(self, reply: Reply) -> None:
        """Take note of a reply to RCPT."""
        if self._open is not None and reply.is_positive:
            self._open.envelope.recipients += 1
            self.phase = Phase.RECIPIENTS
        if self._open is not None and reply.code == 421:
            self._log(Outcome(reply, 0), self._open.envelope)  # one refused recipient is no event, this is the end
        self._heed(reply)

    def _heed(self, reply: Reply) -> None:
        """Take a 421 of the relay's for what it is: it closes, and the transaction is over (RFC 5321 section 3.8)."""
        if reply.code == 421 and self._open is not None:
            self._open.upstream.abort("421")
            self.end()

    def _lose(self, error: RelayLostError) -> Reply:
        """Give the transaction up, for the relay is gone: the reply for the client, the cause for the log."""
        reply = _explain(error)
        if self._open is not None:
            self._log(Outcome(reply, 0, str(error)), self._open.envelope)
            self._open.upstream.abort("lost")
            self.end()
        return reply

    def _trace(self, envelope: Envelope) -> bytes:
        """The Received field for this message."""
        peer = self._peer
        hop = headers.Hop(
            hostname=self._settings.hostname,
            extended=bool(peer.offered),
            tls=peer.tls,
            cipher=peer.cipher,
            authenticated=peer.identity is not None,
            utf8=b"SMTPUTF8" in envelope.parameters,
            message_id=f"{peer.session}.{self.messages}",
        )
        client = None
        if not self._settings.policy.hide_client:
            hello = peer.hello if _HOST_NAME.fullmatch(peer.hello) else "unknown"
            literal = f"[IPv6:{peer.address}]" if ":" in peer.address else f"[{peer.address or 'local'}]"
            client = headers.Client(hello, literal, peer.user or "")
        return headers.received(hop, self._shared.now(), client)

    def _log(self, outcome: Outcome, envelope: Envelope) -> None:
        peer = self._peer
        result = "unknown" if outcome.is_unknown else "ok" if outcome.reply.is_positive else "refused"
        fields = {"from": str(envelope.sender), "nrcpt": envelope.recipients, "size": outcome.size}
        logs.event(
            "message",
            result=result,
            user=peer.user,
            ip=peer.address,
            via=peer.identity.via.value if peer.identity else None,
            **fields,
            session=peer.session,
            id=f"{peer.session}.{self.messages}",
            reply=outcome.reply.text,
            reason=outcome.reason or None,
        )


def _explain(error: RelayError) -> Reply:
    """The reply for a client whose relay is gone: the relay's own last word, if it had one."""
    if isinstance(error, RelayUnreachableError):
        return replies.RELAY_UNREACHABLE
    said = error.reply if isinstance(error, RelayLostError) else None
    return said or replies.RELAY_LOST
