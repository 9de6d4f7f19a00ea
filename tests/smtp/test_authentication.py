"""AUTH against a real store: the exchange by itself, and a session's logins over a socket pair."""

import asyncio
import base64
import contextlib
import hmac
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramClient

from submission.config.policy import Policy
from submission.config.settings import Settings
from submission.core import replies
from submission.core.addresses import Login
from submission.core.replies import Reply
from submission.core.sasl import BAD_CREDENTIALS, MALFORMED, MAX_RESPONSE, Channel, Mechanism, Need, Step, Success
from submission.core.sasl.cram_md5 import CramMd5Mechanism
from submission.core.sasl.external import ExternalMechanism
from submission.core.sasl.login import LoginMechanism
from submission.core.sasl.plain import PlainMechanism
from submission.core.sasl.registry import MECHANISMS
from submission.core.sasl.xoauth2 import Xoauth2Mechanism
from submission.core.transaction import Identity, Peer, Via
from submission.credentials import open_authenticator, open_store
from submission.credentials.accounts import set_disabled, set_password
from submission.credentials.authenticator import Authenticator
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record
from submission.relay.upstream import Pool
from submission.smtp.answers import Answers
from submission.smtp.authentication import (
    Authentication,
    ExchangeError,
    Inquiry,
    Verdict,
    decode,
    decode_initial,
    exchange,
)
from submission.smtp.listener import Shared
from submission.smtp.penalties import Penalties
from submission.smtp.stream import ClientStream
from submission.state.penalties import PenaltyTable

ALICE = Login("alice", "example.com")
PASSWORD = "tanstaaf\u00e9"
NONCE = b"1896.697170952@example.com"
CHALLENGE = b"<" + NONCE + b">"
CHANNEL = Channel(NONCE, "example.com")
END_POINT = bytes(range(32))


def make_settings(folder: Path, **auth: object) -> Settings:
    return Settings.model_validate(
        {
            "hostname": "mail.example.com",
            "state_dir": str(folder),
            "listen": [{"address": "127.0.0.1:1", "tls": "none"}],
            "relay": {"address": f"unix:{folder}/nobody"},
            "tls": {"client_ca": f"{folder}/clients.pem"} if "certificate" in auth else {},
            "auth": {"realm": "example.com", **auth},
            "limits": {"auth_failures": 3},
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three accounts: alice, bob who is disabled, carol of whom no secret is kept."""
    folder = tmp_path_factory.mktemp("state")
    settings = make_settings(folder)
    store, sealer = open_store(settings.store.url), Sealer.from_file(settings.store.key_file)
    for user in ("alice", "bob", "carol"):
        login = Login(user, "example.com")
        set_password(store, sealer, login, PASSWORD, may_create=True, keep_secret=user != "carol")
    set_disabled(store, Login("bob", "example.com"), is_disabled=True)
    store.close()
    return folder


@pytest.fixture
def authenticator(folder: Path) -> Iterator[Authenticator]:
    authenticator = open_authenticator(make_settings(folder))
    yield authenticator
    authenticator.close()


def plain(user: str, password: str = PASSWORD) -> bytes:
    return b"\0" + user.encode() + b"\0" + password.encode()


def cram(user: str, challenge: bytes, password: str = PASSWORD) -> bytes:
    return user.encode() + b" " + hmac.new(password.encode(), challenge, "md5").hexdigest().encode()


# base64


@given(st.binary(max_size=100))
def test_base64_comes_back(data: bytes) -> None:
    assert decode(base64.b64encode(data)) == data


@pytest.mark.parametrize(
    "text",
    [
        b"=",
        b"a",
        b"ab",
        b"abc",
        b"ab=c",
        b"abc==",
        b"abcd=",
        b"ab cd",
        b" abcd",
        b"abc\xff",
        b"ab-_",
        b"====",
        b"YQ==YQ==",
    ],
)
def test_what_is_no_base64(text: bytes) -> None:
    with pytest.raises(ExchangeError) as caught:
        decode(text)
    assert caught.value.reply is replies.AUTH_BAD_BASE64
    assert str(caught.value) == "bad-base64"


def test_initial_responses() -> None:
    assert decode_initial(None) is None
    assert decode_initial(b"=") == b""
    assert decode_initial(b"YQ==") == b"a"
    with pytest.raises(ExchangeError):
        decode_initial(b"==")


# The exchange


def inquire(authenticator: Authenticator, certified: str = "") -> Inquiry:
    """For a client that nobody has anything against."""
    return Inquiry(
        authenticator, Penalties(None, Peer("0123456789ab"), "example.com", asyncio.sleep), certified=certified
    )


async def no_answer(challenge: bytes) -> bytes:
    raise AssertionError("the client is asked nothing")


async def run(
    machine: Mechanism, initial: bytes | None, authenticator: Authenticator, *answers: bytes
) -> tuple[Verdict, list[bytes]]:
    """The verdict, and the challenges that the client saw."""
    challenges = []
    waiting = list(answers)

    async def ask(challenge: bytes) -> bytes:
        challenges.append(challenge)
        return waiting.pop(0)

    verdict = await exchange(machine, initial, ask, inquire(authenticator))
    assert not waiting
    return verdict, challenges


async def test_plain(authenticator: Authenticator) -> None:
    assert await run(PlainMechanism(CHANNEL), plain("alice"), authenticator) == (Verdict(ALICE, "alice"), [])
    answer = base64.b64encode(plain("alice@example.com"))
    verdict, challenges = await run(PlainMechanism(CHANNEL), None, authenticator, answer)
    assert (verdict, challenges) == (Verdict(ALICE, "alice@example.com"), [b""])


async def test_login(authenticator: Authenticator) -> None:
    answers = (base64.b64encode(b"alice"), base64.b64encode(PASSWORD.encode()))
    verdict, challenges = await run(LoginMechanism(CHANNEL), None, authenticator, *answers)
    assert verdict == Verdict(ALICE, "alice")
    assert [base64.b64decode(challenge) for challenge in challenges] == [b"Username:", b"Password:"]


async def test_cram_md5(authenticator: Authenticator) -> None:
    verdict, challenges = await run(
        CramMd5Mechanism(CHANNEL), None, authenticator, base64.b64encode(cram("alice", CHALLENGE))
    )
    assert verdict == Verdict(ALICE, "alice")
    assert challenges == [base64.b64encode(CHALLENGE)]


@pytest.mark.parametrize(
    "user", ["mallory", "bob", "alice@example.net", "a\u0000lice", "al\nice", "@", "x" * 300, "Alice"]
)
async def test_who_does_not_get_in_by_password(authenticator: Authenticator, user: str) -> None:
    if "\0" not in user:
        verdict, _ = await run(PlainMechanism(CHANNEL), plain(user), authenticator)
        assert verdict.login is None
        assert verdict.reason in (BAD_CREDENTIALS, MALFORMED)


@pytest.mark.parametrize("user", ["mallory", "bob", "carol", "alice@example.net", "Alice"])
async def test_who_does_not_get_in_by_secret(authenticator: Authenticator, user: str) -> None:
    answer = base64.b64encode(cram(user, CHALLENGE))
    verdict, _ = await run(CramMd5Mechanism(CHANNEL), None, authenticator, answer)
    assert verdict == Verdict(None, user, BAD_CREDENTIALS)


async def scram(
    name: str, user: str, authenticator: Authenticator, password: str = PASSWORD, channel: Channel = CHANNEL
) -> Verdict:
    """How an exchange with scramp's client ends."""
    binding = ("tls-server-end-point", END_POINT) if "PLUS" in name else None
    client = ScramClient([name], user, password, channel_binding=binding)
    first = client.get_client_first().encode()
    heard: list[bytes] = []

    async def ask(challenge: bytes) -> bytes:
        heard.append(base64.b64decode(challenge))
        if len(heard) == 2:
            client.set_server_final(heard[1].decode())
            return b""
        client.set_server_first(heard[0].decode())
        return base64.b64encode(client.get_client_final().encode())

    return await exchange(MECHANISMS[name](channel), first, ask, inquire(authenticator))


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
async def test_scram(authenticator: Authenticator, name: str) -> None:
    channel = replace(CHANNEL, end_point=END_POINT)
    assert await scram(name, "alice", authenticator, channel=channel) == Verdict(ALICE, "alice")
    carol = Login("carol", "example.com")  # without a recoverable secret
    assert await scram(name, str(carol), authenticator, channel=channel) == Verdict(carol, str(carol))
    for user in ("mallory", "bob", "alice@example.net", "Alice"):
        assert await scram(name, user, authenticator, channel=channel) == Verdict(None, user, BAD_CREDENTIALS)
    assert (await scram(name, "alice", authenticator, "tanstaaf", channel)).login is None


@pytest.mark.parametrize("password", ["", "tanstaaf", PASSWORD + " ", PASSWORD.upper(), "x" * 2000])
async def test_wrong_passwords(authenticator: Authenticator, password: str) -> None:
    verdict, _ = await run(PlainMechanism(CHANNEL), plain("alice", password), authenticator)
    assert verdict.login is None
    verdict, _ = await run(
        CramMd5Mechanism(CHANNEL), None, authenticator, base64.b64encode(cram("alice", CHALLENGE, password))
    )
    assert verdict.login is None


async def test_an_answer_to_another_challenge(authenticator: Authenticator) -> None:
    answer = base64.b64encode(cram("alice", b"<another@example.com>"))
    verdict, _ = await run(CramMd5Mechanism(CHANNEL), None, authenticator, answer)
    assert verdict.login is None


async def test_a_client_breaks_off(authenticator: Authenticator) -> None:
    with pytest.raises(ExchangeError, match="aborted") as caught:
        await run(LoginMechanism(CHANNEL), None, authenticator, b"*")
    assert caught.value.reply is replies.AUTH_ABORTED


class Gullible:
    """A mechanism that is content with anything: a fault of ours, if we ever made one."""

    NAME = "GULLIBLE"
    SENDS_PASSWORD = False
    NEED = Need.PASSWORD

    def __init__(self, channel: Channel) -> None:
        pass

    def start(self, initial: bytes | None) -> Step:
        return Success("alice")

    def respond(self, data: bytes) -> Step:
        raise NotImplementedError

    def resolve(self, answer: bool | bytes | None) -> Step:
        raise NotImplementedError


async def test_without_the_store_s_word_nobody_is_anybody(authenticator: Authenticator) -> None:
    verdict, _ = await run(Gullible(CHANNEL), None, authenticator)
    assert verdict == Verdict(None, "alice", BAD_CREDENTIALS)


# A session's logins


class Client:
    """One end of the session; the other is `authentication`."""

    def __init__(
        self,
        authentication: Authentication,
        peer: Peer,
        stream: ClientStream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.authentication = authentication
        self._stream = stream
        self.peer = peer
        self.mechanisms = authentication.mechanisms
        self.reader = reader
        self.writer = writer

    async def auth(self, argument: bytes, *lines: bytes) -> Reply:
        """The reply to AUTH and the lines that follow it."""
        self.writer.write(b"".join(line + b"\r\n" for line in lines))
        reply = await self.authentication.authenticate(argument)
        assert not self._stream.has_input
        await self._stream.flush()
        return reply


class Feeder(asyncio.Protocol):
    stream: ClientStream

    def data_received(self, data: bytes) -> None:
        self.stream.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stream.feed_loss()


@contextlib.asynccontextmanager
async def session(
    settings: Settings,
    tls: str = "TLSv1.3",
    penalties: PenaltyTable | None = None,
    end_point: bytes | None = None,
    certified: str = "",
) -> AsyncIterator[Client]:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    transport, feeder = await loop.create_connection(Feeder, sock=ours)
    stream = feeder.stream = ClientStream(loop, transport, 30.0)
    peer = Peer("0123456789ab", "192.0.2.1", tls, end_point=end_point, certified=certified)
    authenticator = open_authenticator(settings)
    pool = Pool(settings.relay, settings.hostname)
    shared = Shared(settings, pool, authenticator, lambda: datetime.now(UTC), penalties)
    try:
        yield Client(Authentication(shared, peer, stream, Answers(stream)), peer, stream, reader, writer)
    finally:
        authenticator.close()
        transport.abort()
        await reader.read()
        writer.close()
        await writer.wait_closed()


GOOD = b"PLAIN " + base64.b64encode(plain("alice"))
BAD = b"PLAIN " + base64.b64encode(plain("alice", "wrong"))


async def test_a_login_gives_an_identity_once(folder: Path) -> None:
    async with session(make_settings(folder)) as client:
        assert client.peer.identity is None
        assert await client.auth(GOOD) is replies.AUTH_OK
        assert client.peer.identity == Identity(Via.AUTH, ALICE)
        assert await client.auth(GOOD) is replies.AUTH_ALREADY
        assert await client.auth(b"PLAIN") is replies.AUTH_ALREADY


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_the_password_is_kept_only_where_messages_are_searched_for_it(folder: Path, is_wanted: bool) -> None:
    policy = Policy(prevent_credential_leaks=is_wanted)
    async with session(make_settings(folder).model_copy(update={"policy": policy})) as client:
        assert await client.auth(BAD) is replies.AUTH_FAILED
        assert client.peer.password == ""
        assert await client.auth(GOOD) is replies.AUTH_OK
        assert client.peer.password == (PASSWORD if is_wanted else "")
        assert PASSWORD not in repr(client.peer)
        client.peer.forget()
        assert client.peer.password == ""


@pytest.mark.parametrize("argument", [b"plain", b"Plain", b"  PLAIN  "])
async def test_names_of_mechanisms_have_no_case(folder: Path, argument: bytes) -> None:
    async with session(make_settings(folder)) as client:
        assert await client.auth(argument, base64.b64encode(plain("alice"))) is replies.AUTH_OK


async def test_the_client_sees_the_challenges(folder: Path) -> None:
    async with session(make_settings(folder)) as client:
        answers = base64.b64encode(b"alice"), base64.b64encode(PASSWORD.encode())
        assert await client.auth(b"LOGIN", *answers) is replies.AUTH_OK
        assert await client.reader.readexactly(36) == b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n"


@pytest.mark.parametrize(
    ("argument", "lines", "reply"),
    [
        (b"", (), replies.AUTH_NEEDS_MECHANISM),
        (b"PLAIN a b", (), replies.AUTH_NEEDS_MECHANISM),
        (b"DIGEST-MD5", (), replies.AUTH_UNKNOWN_MECHANISM),
        (b"PL\xc3\x84IN", (), replies.AUTH_UNKNOWN_MECHANISM),
        (b"PLAIN !", (), replies.AUTH_BAD_BASE64),
        (b"PLAIN", (b"!",), replies.AUTH_BAD_BASE64),
        (b"PLAIN", (b"a\0b",), replies.AUTH_BAD_BASE64),
        (b"PLAIN", (b"*",), replies.AUTH_ABORTED),
        (b"LOGIN", (b"YWxpY2U=", b"*"), replies.AUTH_ABORTED),
        (b"PLAIN", (b"A" * (MAX_RESPONSE - 1),), replies.AUTH_LINE_TOO_LONG),
        (b"PLAIN =", (), replies.AUTH_FAILED),
        (b"PLAIN", (b"",), replies.AUTH_FAILED),
        (BAD, (), replies.AUTH_FAILED),
    ],
)
async def test_what_goes_wrong(folder: Path, argument: bytes, lines: tuple[bytes, ...], reply: Reply) -> None:
    async with session(make_settings(folder)) as client:
        assert await client.auth(argument, *lines) is reply
        assert client.peer.identity is None
        assert await client.auth(GOOD) is replies.AUTH_OK  # and leaves nothing behind


async def test_failures_are_counted_and_only_they(folder: Path) -> None:
    async with session(make_settings(folder)) as client:
        seen = [await client.auth(argument) for argument in (BAD, b"PLAIN !", BAD, b"XFOO", BAD)]
        assert [reply.code for reply in seen] == [535, 501, 535, 504, 421]
        assert seen[-1] is replies.TOO_MANY_AUTH_FAILURES


async def test_without_tls_nothing_is_offered_and_nothing_taken(folder: Path) -> None:
    async with session(make_settings(folder), tls="") as client:
        assert client.mechanisms == ()
        assert await client.auth(b"CRAM-MD5") is replies.ENCRYPTION_REQUIRED
        assert await client.auth(GOOD) is replies.ENCRYPTION_REQUIRED
        assert await client.auth(b"XFOO") is replies.TLS_REQUIRED
        assert client.peer.identity is None


async def test_without_tls_at_most_mechanisms_that_send_no_password(folder: Path) -> None:
    async with session(make_settings(folder, require_tls=False), tls="") as client:
        assert client.mechanisms == ("SCRAM-SHA-256", "CRAM-MD5")
        assert await client.auth(GOOD) is replies.ENCRYPTION_REQUIRED
        assert await client.auth(b"LOGIN") is replies.ENCRYPTION_REQUIRED
        assert await client.auth(b"XFOO") is replies.AUTH_UNKNOWN_MECHANISM
        assert client.peer.identity is None


async def test_what_binds_the_channel_is_offered_where_its_end_is_known(folder: Path) -> None:
    settings = make_settings(folder)
    for tls in ("TLSv1.3", ""):
        async with session(settings, tls) as client:
            assert not any("PLUS" in name for name in client.mechanisms)
    async with session(settings, end_point=END_POINT) as client:
        assert client.mechanisms == settings.auth.mechanisms
        step = b"SCRAM-SHA-256 " + base64.b64encode(b"y,,n=alice,r=nonce")
        assert await client.auth(step) is replies.AUTH_FAILED
    async with session(make_settings(folder, mechanisms=["SCRAM-SHA-256"]), end_point=END_POINT) as client:
        assert await client.auth(step, b"*") is replies.AUTH_ABORTED  # it was heard: nothing else was offered


async def test_only_mechanisms_of_the_configuration(folder: Path) -> None:
    async with session(make_settings(folder, mechanisms=["LOGIN"])) as client:
        assert client.mechanisms == ("LOGIN",)
        assert await client.auth(GOOD) is replies.AUTH_UNKNOWN_MECHANISM


async def test_a_store_out_of_order_is_not_a_wrong_password(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with session(settings) as client:
        database = tmp_path / settings.store.url.removeprefix("sqlite:")
        await asyncio.to_thread(database.write_bytes, b"no database at all, but long enough for one" * 99)
        assert await client.auth(GOOD) is replies.AUTH_UNAVAILABLE
        assert client.peer.identity is None


async def test_the_log_tells_reasons_and_no_secrets(
    folder: Path, caplog: pytest.LogCaptureFixture, logged: Callable[[], list[dict[str, object]]]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with session(make_settings(folder)) as client:
        await client.auth(BAD)
        await client.auth(b"PLAIN !")
        await client.auth(b"PLAIN", b"*")
        await client.auth(GOOD)
    assert [line["event"] for line in logged()] == ["auth"] * 4
    text = repr(logged()) + repr([vars(record) for record in caplog.records])
    for secret in (
        PASSWORD,
        "wrong",
        base64.b64encode(PASSWORD.encode()).decode(),
        GOOD[6:].decode(),
        BAD[6:].decode(),
    ):
        assert secret not in text
    for word in (BAD_CREDENTIALS, "bad-base64", "aborted", "alice@example.com", "192.0.2.1", "TLSv1.3"):
        assert word in text


async def test_scram_is_held_back_while_somebody_has_no_keys_for_it(tmp_path: Path) -> None:
    scram = ("SCRAM-SHA-256", "SCRAM-SHA-1")
    settings = make_settings(tmp_path, mechanisms=[*scram, "PLAIN", "CRAM-MD5"])
    store, sealer = open_store(settings.store.url), Sealer.from_file(settings.store.key_file)
    set_password(store, sealer, ALICE, PASSWORD, may_create=True, keep_secret=False)
    bob = Login("bob", "example.com")
    authenticator = open_authenticator(settings)
    await authenticator.look()
    assert authenticator.held_back == frozenset()
    store.change(bob, lambda _: Record(bob, password="{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="))
    await authenticator.look()
    pool = Pool(settings.relay, settings.hostname)
    ours, theirs = socket.socketpair()
    transport, feeder = await asyncio.get_running_loop().create_connection(Feeder, sock=ours)
    feeder.stream = stream = ClientStream(asyncio.get_running_loop(), transport, 30.0)
    for only, offered in (((*scram, "PLAIN"), ("PLAIN",)), (scram, scram)):
        shared = Shared(make_settings(tmp_path, mechanisms=list(only)), pool, authenticator, lambda: datetime.now(UTC))
        peer = Peer("0123456789ab", "192.0.2.1", "TLSv1.3")
        assert Authentication(shared, peer, stream, Answers(stream)).mechanisms == offered
    store.change(bob, lambda record: record and replace(record, is_disabled=True))
    await authenticator.look()
    assert authenticator.held_back == frozenset()
    store.change(bob, lambda record: record and replace(record, is_disabled=False))
    assert await authenticator.check_password("bob", "password") == bob  # which makes his keys
    await authenticator.look()
    assert authenticator.held_back == frozenset()
    transport.abort()
    theirs.close()
    authenticator.close()
    store.close()


# Certificates and tokens


@pytest.mark.parametrize(("certified", "name"), [("alice", ""), ("alice", "alice"), ("alice@example.com", "alice")])
async def test_external(authenticator: Authenticator, certified: str, name: str) -> None:
    verdict = await exchange(ExternalMechanism(CHANNEL), name.encode(), no_answer, inquire(authenticator, certified))
    assert verdict == Verdict(ALICE, name)


@pytest.mark.parametrize(
    ("certified", "name"), [("", ""), ("", "alice"), ("alice", "carol"), ("bob", ""), ("mallory", "mallory")]
)
async def test_who_does_not_get_in_by_certificate(authenticator: Authenticator, certified: str, name: str) -> None:
    verdict = await exchange(ExternalMechanism(CHANNEL), name.encode(), no_answer, inquire(authenticator, certified))
    assert verdict == Verdict(None, name, BAD_CREDENTIALS)


async def test_without_an_issuer_a_token_is_refused(authenticator: Authenticator) -> None:
    message = b"user=alice\x01auth=Bearer abc\x01\x01"
    verdict, [challenge] = await run(Xoauth2Mechanism(CHANNEL), message, authenticator, b"")
    assert verdict == Verdict(None, "alice", BAD_CREDENTIALS)
    assert b'"status":"401"' in base64.b64decode(challenge)


def with_certificates(folder: Path, *, is_login: bool = True) -> Settings:
    certificate = {"user": "alice", "email": "alice@example.com"}
    return make_settings(
        folder, mechanisms=["PLAIN", "EXTERNAL"], certificate_login=is_login, certificate=[certificate]
    )


@pytest.mark.parametrize(("certified", "mechanisms"), [("", ("PLAIN",)), ("alice", ("PLAIN", "EXTERNAL"))])
async def test_external_is_offered_with_a_certificate(
    folder: Path, certified: str, mechanisms: tuple[str, ...]
) -> None:
    async with session(with_certificates(folder), certified=certified) as client:
        assert client.mechanisms == mechanisms


async def test_a_certificate_gives_an_identity_at_mail(folder: Path) -> None:
    async with session(with_certificates(folder), certified="alice") as client:
        assert await client.authentication.recognize() is None
        assert client.peer.identity == Identity(Via.AUTH, ALICE)
        assert await client.authentication.recognize() is None
        assert await client.auth(GOOD) is replies.AUTH_ALREADY


@pytest.mark.parametrize("certified", ["", "bob", "mallory"])
async def test_at_mail_nobody_becomes_anybody(folder: Path, certified: str) -> None:
    async with session(with_certificates(folder), certified=certified) as client:
        seen = [await client.authentication.recognize() for _ in range(3)]
        assert seen == [None, None, replies.TOO_MANY_AUTH_FAILURES if certified else None]
        assert client.peer.identity is None


async def test_at_mail_a_certificate_counts_only_where_that_is_allowed(folder: Path) -> None:
    async with session(with_certificates(folder, is_login=False), certified="alice") as client:
        assert await client.authentication.recognize() is None
        assert client.peer.identity is None


@pytest.mark.parametrize("argument", [BAD, b"PLAIN !", b"XFOO", b"EXTERNAL " + base64.b64encode(b"carol")])
async def test_who_has_sent_auth_is_not_logged_in_without(folder: Path, argument: bytes) -> None:
    """It wanted to be somebody, and isn't: its mail must not go out as somebody else's."""
    async with session(with_certificates(folder), certified="alice") as client:
        assert not (await client.auth(argument)).is_positive
        assert await client.authentication.recognize() is None
        assert client.peer.identity is None


async def test_at_mail_a_store_out_of_order_is_not_nobody(tmp_path: Path) -> None:
    settings = with_certificates(tmp_path)
    async with session(settings, certified="alice") as client:
        database = tmp_path / settings.store.url.removeprefix("sqlite:")
        await asyncio.to_thread(database.write_bytes, b"no database at all, but long enough for one" * 99)
        assert await client.authentication.recognize() is replies.AUTH_UNAVAILABLE
        assert client.peer.identity is None
