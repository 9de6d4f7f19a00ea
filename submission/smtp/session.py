"""What a client can say: the verbs (RFC 5321 section 4.1.1), and what comes before the first of them.

in here     how a connection is opened, EHLO, STARTTLS and the small verbs
elsewhere   AUTH in authentication.py; MAIL, RCPT, DATA and BDAT in handover.py
beneath     the loop that calls the verbs: command_loop.py
"""

from __future__ import annotations

import re

from submission import logs
from submission.core import extensions, replies
from submission.core.chunks import parse_chunk
from submission.core.replies import Reply
from submission.core.transaction import Identity
from submission.credentials.store import StoreUnavailableError
from submission.smtp.chunks import skip
from submission.smtp.client_certificate import find_user
from submission.smtp.command_loop import CommandLoop, OverloadError, ServiceStoppingError
from submission.smtp.proxy_header import read_header
from submission.smtp.stream import ClientGoneError
from submission.smtp.tls import served_end_point
from submission.state import StateUnavailableError

MAX_UNASKED = 1024 * 1024
"""Octets that are read of a chunk that nobody asked for; then the connection is closed."""

_HELLO = re.compile(rb"[!-~\x80-\xff]{1,255}")


class Session(CommandLoop):
    """A connection with the verbs that we serve."""

    # Before the first

    async def _open(self) -> None:
        """Greet the client, once it is known who it is and TLS is there, as far as the listener wants these first."""
        if self._is_stopping:
            raise ServiceStoppingError
        if self.awaits_header:
            await self._learn_client()
        if self._listener.settings.tls == "implicit":
            self._stream.hold()
            await self._start_tls()
        self._answers.say(replies.greeting(self._settings.hostname))

    async def _learn_client(self) -> None:
        """Let the balancer in front of us say who the client is."""
        header = await read_header(self._stream)
        if self._stream.is_lost:  # and dismissed: it is not to be counted again
            raise ClientGoneError("connection lost")
        if self._is_stopping:
            raise ServiceStoppingError
        self._is_unnamed = header.client is None
        if not self._listener.readmit(self, header.client):
            raise OverloadError

    # Hello and TLS

    async def smtp_EHLO(self, argument: bytes) -> Reply:
        """Offer what this connection, at this moment, can have (RFC 5321 section 4.1.1.1)."""
        if not self._take_hello(argument):
            return replies.HELLO_NEEDS_NAME
        offered = extensions.offer(
            self._shared.pool.extensions,
            max_size=self._handover.max_size,
            max_recipients=self._handover.max_recipients,
            mechanisms=self._authentication.mechanisms,
            can_start_tls=self._can_start_tls,
        )
        self.peer.offered = frozenset(offered)
        lines = (f"{keyword} {value}".rstrip() for keyword, value in offered.items())
        return replies.hello(self._settings.hostname, *lines)

    async def smtp_HELO(self, argument: bytes) -> Reply:
        """Say hello to a client that knows of no extensions."""
        return replies.hello(self._settings.hostname) if self._take_hello(argument) else replies.HELLO_NEEDS_NAME

    def _take_hello(self, argument: bytes) -> bool:
        """Note how the client calls itself, and start anew (RFC 5321 section 4.1.4)."""
        if not _HELLO.fullmatch(argument.strip()):
            return False
        self._handover.end()
        self.peer.hello = argument.strip().decode("ascii", "replace")
        self.peer.offered = frozenset()
        return True

    @property
    def _can_start_tls(self) -> bool:
        return not self._is_encrypted and self._listener.settings.tls == "starttls"

    async def smtp_STARTTLS(self, argument: bytes) -> Reply | None:
        """Begin TLS, and forget all that was said before (RFC 3207 section 4.2)."""
        if argument:
            return replies.NO_ARGUMENTS
        if not self._can_start_tls:
            return replies.TLS_ALREADY if self._is_encrypted else replies.TLS_NOT_OFFERED
        self._stream.hold()
        if self._stream.has_input:
            # Whoever put it there wants it taken for something that was said under TLS (CVE-2011-0411).
            self._end = "pipelined behind STARTTLS"
            return replies.TLS_PIPELINED
        self._answers.say(replies.TLS_READY)
        await self._stream.flush()
        await self._start_tls()
        return None

    async def _start_tls(self) -> None:
        find_tls = self._listener.find_tls
        if find_tls is None:
            raise RuntimeError("a listener with TLS has no context")
        self._is_encrypted = True
        try:
            await self._stream.start_tls(find_tls(), self)
        except ClientGoneError:
            self.connection_lost(None)  # asyncio doesn't, for a connection that is lost in the handshake
            raise
        self.transport = self._stream.transport
        self.peer.forget()
        tls = self.transport.get_extra_info("ssl_object")
        self.peer.tls, self.peer.cipher = tls.version(), tls.cipher()[0]
        self.peer.end_point = served_end_point(tls)
        certificate = tls.getpeercert(binary_form=True)
        if certificate:
            self.peer.certified = find_user(certificate, self._settings.auth.certificate, self.peer.session)

    # The verbs of the other files

    async def smtp_AUTH(self, argument: bytes) -> Reply:
        """Authenticate."""
        return self._heed(await self._authentication.authenticate(argument))

    async def smtp_MAIL(self, argument: bytes) -> Reply | None:
        """Open a transaction."""
        refusal = await self._authentication.recognize()
        if refusal is not None:
            return self._heed(refusal)
        try:
            if await self._authentication.is_withdrawn():
                return replies.SUSPENDED
            identity = self.peer.identity or await self._admit()
        except (StateUnavailableError, StoreUnavailableError) as error:
            name = "state-unavailable" if isinstance(error, StateUnavailableError) else "store-unavailable"
            logs.failure(name, error, session=self.peer.session)
            return replies.AUTH_UNAVAILABLE
        return await self._handover.mail(argument, identity, can_start_tls=self._can_start_tls)

    async def _admit(self) -> Identity | None:
        """As whom a client may send that didn't authenticate: asked anew each time, for it may be over.

        An address that is its balancer's own says nothing of a client.
        """
        if self._is_unnamed or not self._listener.settings.pop_before_smtp:
            return None
        return await self._shared.admissions.identify(self.peer.address)

    def _heed(self, reply: Reply) -> Reply:
        """End where the reply says that there were too many failed logins."""
        if reply is replies.TOO_MANY_AUTH_FAILURES:
            self._end = "auth-failures"
        return reply

    async def smtp_RCPT(self, argument: bytes) -> Reply | None:
        """Name a recipient."""
        return await self._handover.recipient(argument)

    async def smtp_DATA(self, argument: bytes) -> Reply:
        """Send the message."""
        if argument:
            return replies.NO_ARGUMENTS
        outcome = await self._handover.data()
        if outcome.is_endless:
            self._end = "endless message"
        return outcome.reply

    async def smtp_BDAT(self, argument: bytes) -> Reply:
        """Send a chunk of the message."""
        chunk = parse_chunk(argument)
        if chunk is None:
            return self._lose_track()
        outcome = await self._handover.chunk(chunk)
        if outcome.is_endless:
            self._end = "endless message"
        return outcome.reply

    async def _skip_chunk(self, argument: bytes, refusal: Reply) -> Reply | None:
        """Refuse a chunk that comes at the wrong time; the client has sent it all the same (RFC 3030 section 4.2).

        It is no error to be counted: a client that pipelines has sent it before it heard that the one before failed.
        """
        chunk = parse_chunk(argument)
        if chunk is None:
            return self._lose_track()
        if not await skip(self._stream, chunk, MAX_UNASKED):
            self._end = "endless chunk"
        self._answers.say(refusal)
        return None

    def _lose_track(self) -> Reply:
        """End, for nobody can say where the chunk ends and the next command begins."""
        self._end = "chunk without a size"
        return replies.BAD_CHUNK

    async def smtp_RSET(self, argument: bytes) -> Reply:
        """Forget the transaction (RFC 5321 section 4.1.1.5)."""
        if argument:
            return replies.NO_ARGUMENTS
        self._handover.end()
        return replies.OK

    # The small ones

    async def smtp_NOOP(self, _argument: bytes) -> Reply:
        """Do nothing; never the relay's business, for sendmail slows down for who says it often."""
        return replies.OK

    async def smtp_HELP(self, _argument: bytes) -> Reply:
        """Say what there is."""
        return replies.HELP

    async def smtp_VRFY(self, argument: bytes) -> Reply:
        """Say that it isn't said (RFC 5321 section 7.3)."""
        return replies.CANNOT_VERIFY if argument else replies.BAD_ARGUMENT

    async def smtp_EXPN(self, _argument: bytes) -> Reply:  # type: ignore[override] # we pass octets, not text
        """Refuse: lists are nobody's business here."""
        return replies.NOT_IMPLEMENTED

    async def smtp_QUIT(self, _argument: bytes) -> Reply:
        """Part."""
        self._end = "quit"
        return replies.BYE
