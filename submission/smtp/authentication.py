"""AUTH (RFC 4954): base64, `*` and `=` around a mechanism of core/sasl, and the store's answers to it.

Why a login failed is the log's to know. The client hears the same words in the same time whether the user is unknown,
disabled or mistyped the password.
"""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from submission import logs
from submission.core import replies
from submission.core.addresses import Login
from submission.core.app_passwords import AppPassword
from submission.core.replies import Reply
from submission.core.sasl import (
    BAD_CREDENTIALS,
    MAX_RESPONSE,
    Answer,
    Challenge,
    Channel,
    CheckCertificate,
    CheckPassword,
    CheckToken,
    Failure,
    FetchKeys,
    FetchSecret,
    Mechanism,
    Need,
    Question,
    Step,
    Success,
)
from submission.core.sasl.external import ExternalMechanism
from submission.core.sasl.registry import MECHANISMS, make_nonce, works_without_tls
from submission.core.sasl.scram import PLUS
from submission.core.transaction import Identity, Peer, Via
from submission.credentials.authenticator import Authenticator
from submission.credentials.store import StoreUnavailableError
from submission.credentials.tokens import IssuerUnavailableError
from submission.smtp.answers import Answers
from submission.smtp.penalties import Penalties, RefusedError
from submission.smtp.stream import BadLineError, ClientStream

if TYPE_CHECKING:
    from submission.smtp.listener import Shared

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

Ask = Callable[[bytes], Awaitable[bytes]]
"""Sends a challenge in base64, as a 334 reply, and gives the line that the client answers."""


class ExchangeError(Exception):
    """The client broke the exchange off, or its answer is none. `reply` goes to it, the text into the log."""

    def __init__(self, text: str, reply: Reply) -> None:
        super().__init__(text)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an exchange ended: `login` is None where it failed, for `reason`, with `name` as the client gave it."""

    login: Login | None
    name: str
    reason: str = ""
    app_password: AppPassword | None = None  # with which it succeeded
    password: str = field(default="", repr=False, compare=False)  # as tried, where the mechanism shows it


def decode(text: bytes) -> bytes:
    """Strict base64 (RFC 4648 section 3). Raises ExchangeError."""
    if not _BASE64.fullmatch(text):  # Python's own strict mode takes padding where none belongs
        raise ExchangeError("bad-base64", replies.AUTH_BAD_BASE64)
    return binascii.a2b_base64(text)


def decode_initial(word: bytes | None) -> bytes | None:
    """The initial response behind the mechanism's name: `=` is an empty one, None is none (RFC 4954 section 4)."""
    if word is None:
        return None
    return b"" if word == b"=" else decode(word)


class Inquiry:
    """Answers a mechanism's questions about one client, and keeps what was found out on the way.

    Whoever has a penalty waits before the store is asked. `address` is the client's, for some passwords are good from
    some networks only; `certified` is the user whom the client's certificate names, if it names one.
    """

    def __init__(
        self, authenticator: Authenticator, penalties: Penalties, address: str = "", certified: str = ""
    ) -> None:
        self._authenticator = authenticator
        self._penalties = penalties
        self._address = address
        self._certified = certified
        self.login: Login | None = None
        self.app_password: AppPassword | None = None
        self.tried = ""

    async def answer(self, question: Question) -> Answer:
        """What to tell the mechanism. Raises as `exchange` does."""
        authenticator = self._authenticator
        match question:
            case CheckPassword(name, password):
                self.tried = password
                if not authenticator.remembers(name, password, self._address):
                    await self._penalties.wait(name)
                found_app = await authenticator.find_app_password(name, password, self._address)
                found = found_app or (await authenticator.check_password(name, password, self._address), None)
                self.login, self.app_password = found
            case FetchSecret(name):
                await self._penalties.wait(name)
                self.login, secret = await authenticator.fetch_secret(name) or (None, None)
                return secret
            case FetchKeys(name, need):
                await self._penalties.wait(name)
                self.login, keys = await authenticator.fetch_keys(name, need)
                return keys
            case CheckToken(name, token):
                self.tried = token
                await self._penalties.wait(name)
                self.login = await authenticator.check_token(name, token)
            case CheckCertificate(name) if self._certified:
                await self._penalties.wait(self._certified)
                self.login = await authenticator.find_login(self._certified, name)
        return self.login is not None


async def exchange(machine: Mechanism, initial: bytes | None, ask: Ask, inquiry: Inquiry) -> Verdict:
    """Lead the exchange to its end.

    Raises ExchangeError; StoreUnavailableError or IssuerUnavailableError where these can't say; RefusedError where the
    client's penalty allows no try.
    """
    step: Step = machine.start(initial)
    while True:
        match step:
            case Challenge(data):
                answer = await ask(binascii.b2a_base64(data, newline=False))
                if answer == b"*":
                    raise ExchangeError("aborted", replies.AUTH_ABORTED)
                step = machine.respond(decode(answer))
            case Success(name):
                # A machine that succeeds without the store's word would be a fault of ours: nobody logs in by it.
                login = inquiry.login
                return Verdict(login, name, "" if login else BAD_CREDENTIALS, inquiry.app_password, inquiry.tried)
            case Failure(reason, name):
                return Verdict(None, name, reason, password=inquiry.tried)
            case _:
                step = machine.resolve(await inquiry.answer(step))


class Authentication:
    """The logins of one session: none, some that failed, and at most one that didn't."""

    def __init__(self, shared: Shared, peer: Peer, stream: ClientStream, answers: Answers) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._peer = peer
        self._stream = stream
        self._answers = answers
        self._failures = 0
        self._is_asked = False  # whether the client has sent AUTH
        auth = shared.settings.auth
        self._penalties = Penalties(shared.penalties, peer, auth.realm, stream.pause, auth.exempt)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What may be used now: all of them under TLS; without it, at most those that send no password.

        Those that bind the channel need one with an end that both sides know; EXTERNAL, a certificate that is a user's.
        SCRAM is held back while not every login has keys for it, unless there is nothing else that these could use.
        """
        auth = self._settings.auth
        if not self._peer.tls and auth.require_tls:
            return ()
        return tuple(
            name
            for name in auth.mechanisms
            if (self._peer.tls or works_without_tls(name))
            and (self._peer.end_point or not name.endswith(PLUS))
            and not self._is_held_back(MECHANISMS[name].NEED)
            and (self._peer.certified or name != ExternalMechanism.NAME)
        )

    def _is_held_back(self, need: Need) -> bool:
        if need not in self._shared.authenticator.held_back:
            return False
        return any(MECHANISMS[name].NEED is Need.PASSWORD for name in self._settings.auth.mechanisms)

    async def authenticate(self, argument: bytes) -> Reply:
        """Lead an exchange; where it succeeds, the peer has its identity."""
        self._is_asked = True
        words = argument.split()
        if self._peer.identity is not None:
            return replies.AUTH_ALREADY
        if not 1 <= len(words) <= 2:
            return replies.AUTH_NEEDS_MECHANISM
        name = words[0].decode("ascii", "replace").upper()
        if name not in self.mechanisms:
            return self._refuse_mechanism(name)
        try:
            initial = decode_initial(words[1] if len(words) == 2 else None)
            return await self._conclude(self._machine(name), initial)
        except ExchangeError as error:
            self._log("fail", name, None, str(error))
            return error.reply

    async def recognize(self) -> Reply | None:
        """Log a client in by its certificate that would send mail without AUTH, if that is allowed.

        The reply that ends or puts off its attempt, or None: then the gate sees whether it has an identity.
        """
        if self._peer.identity is not None or not self._peer.certified or self._is_asked:
            return None
        if not self._settings.auth.certificate_login:
            return None
        reply = await self._conclude(self._machine(ExternalMechanism.NAME), b"")
        return reply if 400 <= reply.code < 500 else None

    async def is_withdrawn(self) -> bool:
        """Whether the login that the client proved was disabled or deleted since: a session lasts longer than that may.

        Raises StoreUnavailableError.
        """
        identity = self._peer.identity
        if identity is None or identity.login is None:
            return False
        return not await self._shared.authenticator.is_enabled(identity.login)

    async def _conclude(self, machine: Mechanism, initial: bytes | None) -> Reply:
        """Lead an exchange to its end, and note how it ended. Raises ExchangeError."""
        peer, name = self._peer, machine.NAME
        try:
            inquiry = Inquiry(self._shared.authenticator, self._penalties, peer.address, peer.certified)
            verdict = await exchange(machine, initial, self._ask, inquiry)
        except StoreUnavailableError as error:
            logs.failure("store-unavailable", error, session=peer.session)
            self._log("fail", name, None, "store-unavailable")
            return replies.AUTH_UNAVAILABLE
        except IssuerUnavailableError:
            self._log("fail", name, None, "issuer-unavailable")
            return replies.AUTH_UNAVAILABLE
        except RefusedError:
            self._log("fail", name, None, "penalty")
            return replies.TOO_MANY_AUTH_FAILURES
        if verdict.login is None:
            self._log("fail", name, verdict.name, verdict.reason)
            if verdict.reason == BAD_CREDENTIALS:
                await self._penalties.fail(verdict.name, verdict.password)
            self._failures += 1
            is_last = self._failures >= self._settings.limits.auth_failures
            return replies.TOO_MANY_AUTH_FAILURES if is_last else replies.AUTH_FAILED
        await self._penalties.succeed(str(verdict.login))
        used = verdict.app_password
        peer.identity = Identity(Via.AUTH, verdict.login, used.senders if used else ())
        if self._settings.policy.prevent_credential_leaks:
            peer.password = verdict.password
        self._shared.admissions.note_authentication(verdict.login)
        self._log("ok", name, str(verdict.login), None, used.label if used else None)
        return replies.AUTH_OK

    def _refuse_mechanism(self, name: str) -> Reply:
        if self._peer.tls or name not in self._settings.auth.mechanisms:
            return replies.AUTH_UNKNOWN_MECHANISM if self.mechanisms else replies.TLS_REQUIRED
        return replies.ENCRYPTION_REQUIRED

    def _machine(self, name: str) -> Mechanism:
        now = self._shared.now().timestamp()
        nonce = make_nonce(secrets.token_bytes(16), now, self._settings.hostname)
        offers_binding = any(offered.endswith(PLUS) for offered in self.mechanisms)
        auth = self._settings.auth
        channel = Channel(
            nonce,
            auth.realm,
            self._peer.end_point,
            offers_binding,
            auth.oauth.scope,
            auth.oauth.openid_configuration,
        )
        return MECHANISMS[name](channel)

    async def _ask(self, challenge: bytes) -> bytes:
        self._answers.say(replies.challenge(challenge))
        try:
            return await self._stream.line(MAX_RESPONSE)
        except BadLineError as error:
            if error.is_too_long:
                raise ExchangeError("too-long", replies.AUTH_LINE_TOO_LONG) from error
            raise ExchangeError("bad-base64", replies.AUTH_BAD_BASE64) from error

    def _log(self, result: str, mechanism: str, user: str | None, reason: str | None, app: str | None = None) -> None:
        peer = self._peer
        logs.event(
            "auth",
            result=result,
            user=user,
            mech=mechanism,
            ip=peer.address,
            tls=peer.tls or "none",
            session=peer.session,
            reason=reason,
            app=app,
        )
