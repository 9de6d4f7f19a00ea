"""One client's connection, from greeting to close: what asyncio calls, and the loop of commands and replies.

aiosmtpd's protocol class is what it stands on: that finds the verbs by name and has the connection's callbacks. Its
command loop, reader and timer are replaced, for they can't stream a message, they cancel a transfer when a client
half-closes, and they answer one reply a packet.

    a line -> its verb's method (session.py) -> replies (answers.py), written when the client is waited for

The task of a session is never cancelled because its client left: reading raises, while a reply of the relay that is
being waited for is waited for, and logged.
"""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from aiosmtpd.smtp import SMTP

from submission import logs
from submission.core import replies
from submission.core.proxy_header import ProxyHeaderError
from submission.core.replies import Reply
from submission.core.sasl import MAX_RESPONSE
from submission.core.transaction import ORDER, Peer, Phase, refuse_order
from submission.smtp.answers import Answers
from submission.smtp.authentication import Authentication
from submission.smtp.dialogue import ShownStream
from submission.smtp.handover import Handover
from submission.smtp.stream import BadLineError, ClientGoneError, ClientIdleError, ClientStream, ForeignProtocolError

if TYPE_CHECKING:
    from submission.smtp.listener import Listener

MAX_COMMAND = 2048
"""Octets of a command line; sendmail closes the connection on a longer one. AUTH has its own, MAX_RESPONSE."""
ERRORS_BEFORE_DELAY, ERRORS_BEFORE_CLOSE = 3, 10
ERROR_DELAY = 1.0
"""Seconds that each bad command after the first few costs."""
COMMANDS_AT_A_TIME = 50
"""Commands after which other clients have their turn; a buffer holds twenty thousand of the shortest."""

_PIPELINED = ("RCPT", "DATA")
"""Verbs that don't wait for the relay's replies to those before them."""

_HTTP = frozenset(("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "TRACE", "PATCH"))


class ServiceStoppingError(Exception):
    """The service ends, and this session is in no transaction."""


class OverloadError(Exception):
    """There is no room for this client."""


class _NoHooks:
    """aiosmtpd looks for handle_VERB and auth_MECHANISM methods on a handler; there are none, and looking is slow."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return []


class CommandLoop(SMTP, ABC):
    """What asyncio calls, and the loop. The verbs, and how a connection opens, are a subclass's."""

    def __init__(self, listener: Listener) -> None:
        shared = listener.shared
        self._listener = listener
        self._settings = shared.settings
        loop = asyncio.get_running_loop()
        super().__init__(_NoHooks(), hostname=self._settings.hostname, ident="submission", loop=loop)
        self.peer = Peer(secrets.token_hex(6))
        self._shared = shared
        self.awaits_header = False  # a PROXY header, before which nothing is said
        self._is_unnamed = False  # its balancer didn't say where the client is
        self._commands = 0
        self._errors = 0
        self._is_encrypted = False
        self._is_stopping = False
        self._end = ""  # why the session is over, once it is

    def __dir__(self) -> list[str]:
        """Only the verbs: aiosmtpd collects the smtp_VERB methods with dir(), slow for a class of this size."""
        return [f"smtp_{verb}" for verb in ORDER]

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session, unless there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        self._stream = self._make_stream(self.transport)
        if not self._listener.admit(self):
            self.transport.write(replies.OVERLOADED.encode())
            self.transport.close()
            return
        self._is_stopping = self._listener.is_ending  # accepted just before, and told by nobody
        self._answers = Answers(self._stream)
        self._handover = Handover(self._shared, self.peer, self._stream, self._answers)
        self._authentication = Authentication(self._shared, self.peer, self._stream, self._answers)
        self._handler_coroutine = self.loop.create_task(self._handle_client())

    def _make_stream(self, transport: asyncio.Transport) -> ClientStream:
        timeout = self._settings.limits.command_timeout
        if self._shared.shows_dialogue:
            return ShownStream(self.loop, transport, timeout, self.peer.session)
        return ClientStream(self.loop, transport, timeout)

    def data_received(self, data: bytes) -> None:
        """Buffer what arrived."""
        self._stream.feed(data)

    def eof_received(self) -> bool:
        """Let a client that closed only its sending side have its replies; TLS knows no such thing."""
        self._stream.feed_end()
        return not self._is_encrypted

    def connection_lost(self, _error: Exception | None) -> None:
        """Let the session's task learn it, which ends by itself."""
        self._stream.feed_loss()
        self._listener.dismiss(self)

    def pause_writing(self) -> None:
        """Note that the client doesn't take what it is sent."""
        self._stream.feed_full(is_full=True)

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._stream.feed_full(is_full=False)

    # What the service calls

    def stop(self) -> None:
        """End after the transaction that is under way, at once if there is none."""
        self._is_stopping = True
        if self._is_encrypted and not self.peer.tls:
            self.abort()  # in the middle of a handshake there are no last words
        elif self._phase in (Phase.CONNECTED, Phase.READY):
            self._stream.interrupt(ServiceStoppingError())

    def cancel(self) -> None:
        """End now, with whatever is under way."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def abort(self) -> None:
        """Drop the connection, whatever the client has still to be told."""
        self._stream.transport.abort()

    # The loop

    @property
    def _phase(self) -> Phase:
        return self._handover.phase if self.peer.hello else Phase.CONNECTED

    async def _handle_client(self) -> None:
        started = self.loop.time()
        try:
            await self._open()
            while not self._end:
                await self._step()
            await self._handover.settle()
        except ClientGoneError as error:
            self._end = str(error)
        except ClientIdleError:
            self._give_up("idle", replies.IDLE)
        except (ServiceStoppingError, asyncio.CancelledError):
            self._give_up("shutdown", replies.SHUTTING_DOWN)
        except ForeignProtocolError as error:
            self._give_up(f"speaks {error}")
        except ProxyHeaderError as error:
            self._give_up(f"proxy-header: {error}")
        except OverloadError:
            self._give_up("overload", replies.OVERLOADED)
        finally:
            self._answers.forget()
            self._handover.end()
            self._handover.quotas.leave()
            self._stream.close()
            self._smtp_methods.clear()  # bound methods: without them the session is freed without a collector
            self._client_connected_cb = None  # likewise, which asyncio lets go of in a connection_made of its own
            self._log(self.loop.time() - started)

    @abstractmethod
    async def _open(self) -> None:
        """Greet the client, once all is there that comes before. Raises what `_handle_client` knows the end for."""

    @abstractmethod
    async def _skip_chunk(self, argument: bytes, refusal: Reply) -> Reply | None:
        """Refuse BDAT at a wrong time, whose octets come all the same; None if that was said already."""

    async def _step(self) -> None:
        """Read one command and answer it."""
        if self._is_stopping and self._phase in (Phase.CONNECTED, Phase.READY):
            raise ServiceStoppingError
        reply: Reply | None
        try:
            line = self._stream.take_line(MAX_RESPONSE)
            if line is None:
                await self._handover.settle()
                line = await self._stream.line(MAX_RESPONSE)
        except BadLineError as error:
            reply = replies.LINE_TOO_LONG if error.is_too_long else replies.NOT_CRLF
            if error.is_endless:
                self._end = "endless line"
        else:
            reply = await self._answer(line)
        if reply is not None:
            self._answers.say(reply)
            await self._count_error(reply)
        if self._stream.must_flush:
            await self._handover.settle()
            await self._stream.flush()
        self._commands += 1
        if self._commands % COMMANDS_AT_A_TIME == 0:
            await asyncio.sleep(0)
            if self._stream.is_lost:  # nobody hears the replies to what is left
                raise ClientGoneError("connection lost")

    async def _answer(self, line: bytes) -> Reply | None:
        word, _, argument = line.partition(b" ")
        verb = word.decode("ascii", "replace").upper()
        if verb not in ORDER:
            if verb in _HTTP:
                raise ForeignProtocolError("HTTP")
            return replies.UNKNOWN_COMMAND if word else replies.SYNTAX_ERROR
        if len(line) + 2 > MAX_COMMAND and verb != "AUTH":
            return replies.LINE_TOO_LONG
        try:
            if verb not in _PIPELINED:
                await self._handover.settle()
            refusal = refuse_order(verb, self._phase)
            if refusal is not None:
                return await self._skip_chunk(argument, refusal) if verb == "BDAT" else refusal
            reply: Reply | None = await self._smtp_methods[verb](argument)
        except (ClientGoneError, ClientIdleError, ForeignProtocolError, ServiceStoppingError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours: the client hears that there is one, the log which
            logs.failure("internal-error", error, session=self.peer.session)
            self._handover.end()
            self._end = "internal-error"  # what the client sends next may be its message, and must not be obeyed
            return replies.INTERNAL_ERROR
        return reply

    async def _count_error(self, reply: Reply) -> None:
        """Slow down who only tries commands, and part with him in the end."""
        if not (500 <= reply.code <= 504 or reply.code == 555):
            return
        self._errors += 1
        if self._errors >= ERRORS_BEFORE_CLOSE:
            self._answers.say(replies.TOO_MANY_ERRORS)
            self._end = "errors"
        elif self._errors > ERRORS_BEFORE_DELAY:
            await self._handover.settle()
            await self._stream.flush()
            await asyncio.sleep(ERROR_DELAY)

    def _give_up(self, reason: str, reply: Reply | None = None) -> None:
        """Be over, with a last word if there is one."""
        self._end = reason
        self._answers.forget()
        if reply is not None and not self.awaits_header:
            self._answers.say(reply)

    def _log(self, seconds: float) -> None:
        logs.event(
            "connection",
            ip=self.peer.address,
            listener=self._listener.name,
            tls=self.peer.tls or "none",
            user=self.peer.user,
            messages=self._handover.trace.messages,
            errors=self._errors,
            seconds=round(seconds, 3),
            session=self.peer.session,
            reason=self._end or "internal-error",
        )
