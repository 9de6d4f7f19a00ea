"""The relay as one transaction sees it: commands in, their replies out, whatever connection that takes.

A command can be sent at once, and its reply is a future. Where a connection is kept it goes out in this turn of the
event loop, behind what makes sure that nothing of the client before is left:

    RSET                for most; its reply has to be a yes before anything else is believed
    XCLIENT, EHLO       for a relay that offers XCLIENT (Postfix), where it was told of another client last

Where none is kept, the commands wait while one is opened, or for one that another transaction gives back meanwhile.

A used connection may be dead without our knowing. So a transaction that loses it before any reply to its first
command, MAIL, starts again on another: the relay has seen nothing that counts, and whoever waits for replies needn't
know. A fresh one that is lost isn't replaced, and later than that nothing is ever tried twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from submission import logs
from submission.core.replies import Reply
from submission.core.xclient import Client
from submission.relay.connection import Connection, RelayUnreachableError
from submission.relay.pipe import Pipe, RelayError, RelayLostError
from submission.relay.pool import Pool

__all__ = ["Pool", "RelayError", "RelayLostError", "RelayUnreachableError", "Upstream"]

COMMAND_TIMEOUT = 300.0
"""Seconds for a reply to MAIL, RCPT, RSET, DATA and a chunk, and for room for the next part of a body
(RFC 5321 section 4.5.3.2)."""

_Sent = tuple[bytes, "asyncio.Future[Reply]"]


class Upstream:
    """One transaction's relay. It begins with the first `send`, which is MAIL, and ends with `close`."""

    def __init__(self, pool: Pool, describe_client: Callable[[], Client]) -> None:
        """A relay that offers XCLIENT is told of the client that `describe_client` gives then."""
        self._pool = pool
        self._describe_client = describe_client
        self._loop = pool.loop
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._error: RelayError | None = None
        self._sent: list[_Sent] | None = []  # what a fresh connection would be told; None once that can't be any more

    @property
    def loss(self) -> RelayError | None:
        """Why nothing can be sent any more, once that is so."""
        return self._error or (self._connection.pipe.lost if self._connection and not self._opening else None)

    @property
    def takes_chunks(self) -> bool:
        """Whether the relay knows BDAT. Not to be asked before a reply was heard."""
        return self._connection is not None and "CHUNKING" in self._connection.extensions

    def send(self, command: bytes) -> asyncio.Future[Reply]:
        """Send a command, without CRLF; several may be under way. The future gives the reply or raises RelayError."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self._error is not None:
            _fail(future, self._error)
            return future
        if self._connection is None and self._opening is None:
            self._begin()
        if self._sent is not None:
            if self._sent and self._sent[0][1].done():
                self._sent = None  # MAIL was answered
            else:
                self._sent.append((command, future))
        if self._opening is None and self._connection is not None:
            self._connection.pipe.send(command + b"\r\n", COMMAND_TIMEOUT, future)
        return future

    async def write(self, octets: bytes) -> None:
        """Stream a part of the body, waiting while the relay takes none. Raises RelayLostError."""
        await self._pipe.write_body(octets, COMMAND_TIMEOUT)

    def finish(self, octets: bytes, *, is_message: bool) -> asyncio.Future[Reply]:
        """Send what completes the message, or a chunk. From there on the outcome is the relay's alone to tell."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        timeout = self._pool.settings.final_timeout if is_message else COMMAND_TIMEOUT
        self._pipe.finish_body(octets, timeout, future)
        return future

    def retire(self) -> None:
        """Let no other transaction have the connection, for nobody knows how much of this one the relay has read."""
        if self._connection is not None:
            self._connection.is_spent = True

    def close(self) -> None:
        """End the transaction: the connection is kept for another if nothing is under way on it."""
        if self._opening is not None:
            self.abort("no longer needed")
        elif self._connection is not None and self._error is None:
            self._connection.pipe.on_loss = None
            self._pool.keep(self._connection)
            self._error = RelayLostError("closed")

    def abort(self, reason: str) -> None:
        """Drop the connection: a message under way is thrown away by the relay, and whoever waits gets the error."""
        if self._opening is not None:
            self._opening.cancel()
        self._lose(RelayLostError(reason))
        if self._connection is not None:
            self._connection.pipe.abort(reason)

    # Inside

    @property
    def _pipe(self) -> Pipe:
        if self._connection is None:
            raise RuntimeError("a body comes before any command")
        return self._connection.pipe

    def _begin(self) -> None:
        kept = self._pool.take()
        if kept is not None and not self._introduction(kept):
            self._reuse(kept)
        else:
            self._connection = kept
            self._opening = self._loop.create_task(self._open(kept))

    def _reuse(self, connection: Connection) -> None:
        """Begin behind an RSET, without waiting for its reply."""
        self._connection = connection
        connection.uses += 1
        connection.pipe.on_loss = self._start_again
        connection.pipe.send(b"RSET\r\n", COMMAND_TIMEOUT)

    def _start_again(self) -> bool:
        """Whether whoever waits may go on waiting, for another connection; the used one was lost just now."""
        if self._opening is not None or not self._sent or self._sent[0][1].done():
            return False
        self._opening = self._loop.create_task(self._open(None))
        return True

    async def _open(self, kept: Connection | None) -> None:
        """Have a connection, on which the client is announced if need be, and send what waits for it."""
        try:
            connection = self._connection = kept or await self._pool.connect()
            if connection.uses and not self._introduction(connection):
                self._reuse(connection)
                sent = self._sent or []
            else:
                connection = await self._announce(connection)
                sent, self._sent = self._sent or [], None
        except RelayError as error:
            self._lose(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours: whoever waits must not wait for ever
            logs.failure("internal-error", error)
            self._lose(RelayLostError("internal error"))
            if self._connection is not None:
                self._connection.pipe.abort("internal error")
        else:
            for command, future in sent:
                connection.pipe.send(command + b"\r\n", COMMAND_TIMEOUT, future)
        finally:
            self._opening = None

    async def _announce(self, connection: Connection) -> Connection:
        is_used = connection.uses > 0
        try:
            await self._introduce(connection)
        except RelayLostError:
            if not is_used:
                raise
            connection = self._connection = await self._pool.connect()  # it had died in its sleep
            await self._introduce(connection)
        return connection

    def _introduction(self, connection: Connection) -> bytes:
        """The command that tells a relay who the client is; empty for one that knows, or doesn't want to."""
        offered = connection.extensions.get("XCLIENT")
        if offered is None:
            return b""
        client = self._describe_client()
        return b"" if connection.client == client else client.encode(offered)

    async def _introduce(self, connection: Connection) -> None:
        """Begin a transaction, whose client a relay that wants to know is told; it starts anew then, and wants an EHLO.

        Raises RelayLostError.
        """
        introduction = self._introduction(connection)
        commands = [introduction, self._pool.hello] if introduction else [b"RSET"] if connection.uses else []
        connection.uses += 1
        for command in commands:
            future: asyncio.Future[Reply] = self._loop.create_future()
            connection.pipe.send(command + b"\r\n", COMMAND_TIMEOUT, future)
            reply = await future
            if not reply.is_positive:
                connection.pipe.abort("not introduced")
                raise RelayLostError(f"{command[:7].decode()}: {reply.text[:200]}")
        if introduction:
            connection.client = self._describe_client()

    def _lose(self, error: RelayError) -> None:
        if self._error is None:
            self._error = error
        for _, future in self._sent or ():
            _fail(future, error)


def _fail(future: asyncio.Future[Reply], error: RelayError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()
