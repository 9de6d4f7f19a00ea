"""Whatever clients do in whatever order, while accounts and grants change: nothing reaches the relay but what may.

Hypothesis plays some clients, an admin and a mail server against the service itself, and a relay that takes all. What
each command must come to is worked out by tests/support/entitlement.py. After each step the relay must have got just
those commands and messages that somebody was entitled to, in this very transaction; a client that was must have been
served, too, for a gate that is always shut would pass otherwise.

The service is that of an installation, in a process of its own, but for two waits that would take the time which steps
need: a second that a yes about an account is good for, and one that each bad command costs. `thorough` is a
hypothesis profile that goes on for longer: `make test ARGS="tests/service/test_gate.py --hypothesis-profile thorough"`.
"""

from __future__ import annotations

import base64
import contextlib
import queue
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from submission.config import load
from submission.core.addresses import Login
from submission.core.app_passwords import AppPassword, digest, write_out
from submission.core.grants import Grant
from submission.credentials import open_store
from submission.credentials.accounts import make_record
from submission.credentials.sealing import Sealer
from submission.credentials.store import Record, Store
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState
from tests.support import sasl_client
from tests.support.client import Client
from tests.support.client_authority import ClientAuthority
from tests.support.entitlement import (
    APP_SENDER,
    DENIED,
    REALM,
    RELAY_DOMAIN,
    SENDERS,
    SHARED,
    STATIC,
    Account,
    Entitlement,
    Visitor,
    World,
)
from tests.support.network import free_port, wait_until
from tests.support.server import Server, public_folder
from tests.support.sink import Connection, Sink

IMPATIENT = """
import runpy, sys
from submission.credentials import authenticator
from submission.smtp import command_loop
authenticator.LOOKED_AGAIN = command_loop.ERROR_DELAY = 0.0
del sys.argv[:3]  # -c, and the command that this stands in for, as far as the module
runpy.run_module("submission", run_name="__main__", alter_sys=True)
"""
USERS, PASSWORDS = ("alice", "bob"), ("sesame", "mellon")
READERS = (*USERS, "Alice", "guest")
"""Who reads mail, as the mail server logs it: one of them has two ways to write the name."""
APP_PASSWORD = write_out(bytes(range(13)))
LOGINS = (
    *(("CRAM-MD5", "alice", "right"), ("CRAM-MD5", "bob", "right"), ("LOGIN", "alice", "app")),
    *(("EXTERNAL", "bob", "right"), ("EXTERNAL", "alice", "right")),
)
"""Mechanism, user, and with what."""
MISTAKES = 10
"""Bad commands after which a connection is closed."""

FAR = (
    *("198.51.100.23", "198.51.100.23", "::ffff:198.51.100.23", "2001:db8::50"),
    *("198.51.100.65", "203.0.113.7", "203.0.113.66", "127.0.0.1"),
)
"""Where clients are for whom balancers speak: of nobody, shared, static, denied, and a balancer's own."""
UNNAMED = "UNKNOWN"
"""What a balancer tells that speaks for itself, or doesn't know for whom."""
NEAR = ("127.0.0.1", "127.0.0.5", "127.0.0.9")
"""Where those are who come by themselves."""
PLACES = st.one_of(
    st.tuples(
        st.sampled_from(("balanced-starttls", "balanced-implicit")),
        st.sampled_from((*FAR, UNNAMED)),
        st.just("127.0.0.1"),
    ),
    st.tuples(st.sampled_from(("none", "starttls", "implicit", "closed")), st.just(""), st.sampled_from(NEAR)),
    st.tuples(st.just("balanced-starttls"), st.just(""), st.sampled_from(NEAR[1:])),
)
"""Listener, the address that a balancer tells, and the one that the connection comes from."""
GRANTED = (*(each for each in FAR if not each.startswith(":")), "127.0.0.9")

OWN = "its own"
"""Stands for an address of whoever a client is."""
SENT_AS = (
    *(OWN, OWN, OWN, "", "alice@example.com", "alice+tag@example.com", "bob@example.com", "info@example.com"),
    *("alice@elsewhere.example", "alicebob@example.com"),
)
SENT_TO = (
    *("victim@remote.example", "victim@remote.example", f"root@{RELAY_DOMAIN}", f"root@mx.{RELAY_DOMAIN}"),
    *(f"root@not{RELAY_DOMAIN}", f"victim%remote.example@{RELAY_DOMAIN}", f"remote.example!victim@{RELAY_DOMAIN}"),
)


@dataclass(frozen=True)
class Command:
    """A line of a client's; `text` is what stands behind the verb, or in a message or chunk whose author it names."""

    verb: str
    text: str = ""
    is_last: bool = True
    """Of a chunk: whether it is the last."""
    is_hasty: bool = False
    """Of a message: whether it is sent before it was asked for."""


SMALL = [Command(verb, text) for verb, text in (("RSET", ""), ("NOOP", ""), ("VRFY", "root"), ("XYZZY", ""))]
HELLOS = [Command("EHLO", "client.example"), Command("HELO", "client.example")]
mails = st.builds(Command, st.just("MAIL"), st.sampled_from(SENT_AS))
recipients = st.builds(Command, st.just("RCPT"), st.sampled_from(SENT_TO))
AUTHORS = st.sampled_from([each for each in SENT_AS if each])
messages = st.builds(Command, st.just("DATA"), AUTHORS, is_hasty=st.booleans())
chunks = st.builds(Command, st.just("BDAT"), AUTHORS, is_last=st.booleans())
commands = st.one_of(mails, recipients, messages, chunks, st.sampled_from([*SMALL, *HELLOS]))
whole = st.tuples(mails, recipients, st.one_of(messages, chunks))
"""A transaction."""


@dataclass
class Stage:
    """What all plays of a test share: the service, the relay, and what an admin works on."""

    server: Server
    sink: Sink
    store: Store
    table: GrantTable
    records: dict[tuple[str, str], Record]
    certificates: dict[str, Path]
    is_backup: bool
    """Whether mail for one domain is taken from anybody; whoever may send takes any form of an address then."""
    _in_message: dict[Connection, bool] = field(default_factory=dict)
    written: int = 0
    """Messages that clients wrote."""
    _kept: dict[str, Record | None] = field(default_factory=dict)

    def keep(self, user: str, record: Record | None) -> None:
        """Have the store know this of a user."""
        if self._kept.get(user, ...) != record:  # a change waits for the disk
            self.store.change(Login(user, REALM), lambda _: record)
            self._kept[user] = record

    def arrivals(self) -> list[bytes]:
        """What the relay got since it was last asked: paths of MAIL and RCPT, and numbers of messages."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                connection, line = self.sink.lines.get_nowait()
                if self._in_message.get(connection):
                    self._in_message[connection] = line != b".\r\n"
                elif line.startswith((b"MAIL FROM:", b"RCPT TO:")):
                    found.append(line[: line.index(b">") + 1])
                else:
                    self._in_message[connection] = line == b"DATA\r\n"
        for connection in self.sink.connections:
            while connection.messages:
                found.append(connection.messages.pop(0).partition(b"\r\nX-Number: ")[2].partition(b"\r\n")[0])
        return found


Place = tuple[str, str, str]


@dataclass(eq=False)
class Session:
    """A client, what is to be known of it, and a line that it has begun and not ended."""

    client: Client
    visitor: Visitor
    number: int = 0
    """Of the message that comes in chunks."""
    begun: tuple[Command, bytes] | None = None
    mistakes: int = 0
    is_over: bool = False


class Gate(RuleBasedStateMachine):
    """The play."""

    sessions = Bundle("sessions")

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.world = World(stage.is_backup, takes_rewritten=stage.is_backup)
        self.open: list[Session] = []

    @initialize(target=sessions, places=st.tuples(PLACES, PLACES), login=st.sampled_from(LOGINS))
    def begin(self, places: tuple[Place, Place], login: tuple[str, ...]) -> MultipleResults[Session]:
        """Have both users, no grant, and two clients with a certificate, one of whom has tried to log in."""
        for user in USERS:
            self.change_account(user, PASSWORDS[0])
        self.stage.table.remove(self.stage.table.grants())
        return multiple(
            *(self.connect(place, "bob", HELLOS[0], each) for place, each in zip(places, (login, None), strict=True))
        )

    def teardown(self) -> None:
        """Part with everybody: nothing may come of what they left unfinished."""
        for session in self.open:
            session.client.leave("close")
        self.check([])

    def check(self, due: list[bytes]) -> None:
        """The relay must have got these since the last step, and nothing else."""
        got = self.stage.arrivals()
        assert sorted(got) == sorted(due), f"the relay got {got}, entitled were {due}"

    # What an admin and mail servers do

    @rule(user=st.sampled_from(USERS), change=st.sampled_from((*PASSWORDS, "disable", "disable", "delete")))
    def change_account(self, user: str, change: str) -> None:
        """Make an account anew or change its password; disable it, if it is there; delete it."""
        accounts = self.world.accounts
        if change in PASSWORDS:
            accounts[user] = Account(change)
        elif change == "delete":
            accounts.pop(user, None)
        elif user in accounts:
            accounts[user].is_enabled = False
        record = None
        if user in accounts:
            record = self.stage.records[user, accounts[user].password]
            record = replace(record, is_disabled=not accounts[user].is_enabled)
        self.stage.keep(user, record)

    @rule(address=st.sampled_from(GRANTED), user=st.sampled_from(READERS))
    def grant(self, address: str, user: str) -> None:
        """Have somebody read mail."""
        self._grant(address, user, 3600.0)
        self.world.grants[address] = [*(each for each in self.world.grants.get(address, []) if each != user), user]

    @rule(session=sessions, user=st.sampled_from(READERS))
    def read_mail(self, session: Session, user: str) -> None:
        """Have somebody read mail where a client is that is here."""
        self.grant(session.visitor.address, user)

    @rule(session=sessions, user=st.sampled_from((*USERS, "Alice")))
    def read_mail_though_disabled(self, session: Session, user: str) -> None:
        """Have somebody read mail where a client is that is here, who may send no more."""
        self.grant(session.visitor.address, user)
        self.change_account(user.lower(), "disable")
        self._send(session, [Command("RSET"), Command("MAIL", OWN)])

    @precondition(lambda self: any(self.world.grants.values()))
    @rule(data=st.data(), is_over=st.booleans())
    def end_grant(self, data: st.DataObject, is_over: bool) -> None:
        """Take a grant back, or let its time be over."""
        address = data.draw(st.sampled_from(sorted(each for each in self.world.grants if self.world.grants[each])))
        user = data.draw(st.sampled_from(self.world.grants[address]))
        table = self.stage.table
        table.remove(each for each in table.grants() if (each.address, each.user) == (address, f"{user}@{REALM}"))
        if is_over:
            end = self._grant(address, user, 0.01)
            wait_until(lambda: time.time() >= end)
        self.world.grants[address].remove(user)

    def _grant(self, address: str, user: str, lifetime: float) -> float:
        now = time.time()
        self.stage.table.record([Grant(address, f"{user}@{REALM}", "hand", "", now, now, now + lifetime)])
        return now + lifetime

    # What clients do

    @rule(
        target=sessions,
        place=PLACES,
        certificate=st.sampled_from(("", "", "bob", "stranger")),
        hello=st.sampled_from((HELLOS[0], *HELLOS, None)),
        login=st.sampled_from((*LOGINS, None)),
    )
    def connect(self, place: Place, certificate: str, hello: Command | None, login: tuple[str, ...] | None) -> Session:
        """Come in by a listener, and perhaps log in at once."""
        kind, proxied_for, source = place
        is_named = proxied_for != UNNAMED
        header = proxied_for if is_named else b"PROXY UNKNOWN\r\n"
        client = Client(self.stage.server, kind, header, source, self.stage.certificates.get(certificate))
        assert client.greeting.startswith(b"220 ")
        address = ((is_named and proxied_for) or source).removeprefix("::ffff:")
        visitor = Visitor(
            address,
            kind != "closed" and is_named,
            not kind.endswith(("none", "implicit")),
            certificate if certificate in self.stage.certificates else "",
        )
        session = Session(client, visitor)
        if kind.endswith("implicit"):
            visitor.note_tls()
        self.open.append(session)
        if hello is not None:
            self._send(session, [hello])
        if login is not None:
            self.authenticate(session, *login)
        return session

    @rule(session=sessions, transaction=whole)
    def transact(self, session: Session, transaction: tuple[Command, ...]) -> None:
        """Send a message in one packet."""
        self._send(session, list(transaction))

    @rule(session=sessions, command=st.sampled_from((Command("DATA", OWN), Command("BDAT", OWN))))
    def submit(self, session: Session, command: Command) -> None:
        """Send a message as a mail program does, with nothing wrong in it."""
        self._send(session, [Command("RSET"), Command("MAIL", OWN), Command("RCPT", SENT_TO[0])])
        self._send(session, [command])

    @rule(session=sessions)
    def try_senders(self, session: Session) -> None:
        """Try every name, and give each up."""
        self._send(session, [each for name in SENT_AS for each in (Command("RSET"), Command("MAIL", name))])

    @rule(session=sessions)
    def try_recipients(self, session: Session) -> None:
        """Try to write to everybody."""
        self._send(session, [Command("RSET"), Command("MAIL", OWN), *(Command("RCPT", name) for name in SENT_TO)])

    @rule(user=st.sampled_from(USERS), mechanism=st.sampled_from(("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")))
    def come_back(self, user: str, mechanism: str) -> None:
        """Log in on new connections, by all that one may have, and leave."""
        for each, how in ((mechanism, "right"), ("PLAIN", "app"), ("EXTERNAL", "right")):
            session = self.connect(("implicit", "", NEAR[0]), user, HELLOS[0], None)
            self.authenticate(session, each, user, how)
            self._send(session, [Command("MAIL", OWN)])
            self.leave(session, says_goodbye=False)

    @rule(session=sessions, batch=st.lists(commands, min_size=1, max_size=4))
    def say(self, session: Session, batch: list[Command]) -> None:
        """Send some commands in one packet."""
        self._send(session, batch)

    @rule(session=sessions, command=commands, share=st.floats(0, 1, exclude_max=True))
    def begin_line(self, session: Session, command: Command, share: float) -> None:
        """Send a part of a command, whose rest comes before whatever else the client says."""
        if session.is_over or command.verb in ("DATA", "BDAT"):
            return
        self._finish_line(session)
        command = replace(command, text=self._meant(session, command.text))
        line = f"{command.verb} {_argument(command)}".encode()
        begun = line[: int(share * len(line))]
        session.client.send(begun)
        session.begun = command, line[len(begun) :] + b"\r\n"

    @rule(session=sessions, behind=st.one_of(st.just([]), st.lists(commands, min_size=1, max_size=3)))
    def start_tls(self, session: Session, behind: list[Command]) -> None:
        """Ask for TLS; what is sent behind that in one packet must come to nothing."""
        self._send(session, [Command("STARTTLS"), *behind])

    @rule(
        session=sessions,
        mechanism=st.sampled_from(("PLAIN", "LOGIN", "CRAM-MD5", "CRAM-MD5", "SCRAM-SHA-256", "EXTERNAL")),
        user=st.sampled_from((*USERS, "alice", "stranger")),
        how=st.sampled_from(("right", "right", "right", "app", "wrong", "abort", "garbage")),
    )
    def authenticate(self, session: Session, mechanism: str, user: str, how: str) -> None:
        """Log in, with a password that is right or isn't, or break the exchange off."""
        self._finish_line(session)
        if session.is_over:
            return
        visitor = session.visitor
        account = self.world.accounts.get(user)
        password = {"right": account.password if account else "sesame", "app": APP_PASSWORD}.get(how, "wrong")
        is_offered = visitor.has_tls or mechanism in ("CRAM-MD5", "SCRAM-SHA-256")
        is_known = how == "right" or (how == "app" and user == "alice" and mechanism in ("PLAIN", "LOGIN"))
        if mechanism == "EXTERNAL":
            is_known = visitor.has_tls and visitor.certificate == user and how not in ("abort", "garbage")
        is_due = visitor.may_authenticate and is_offered and is_known and self.world.is_good(user)
        if visitor.has_greeted and visitor.transaction is None:
            visitor.has_tried = True
        reply = exchange(session.client, mechanism, user, password, how)
        assert reply.startswith(b"235 ") is is_due, (reply, visitor)
        if is_due:
            is_app = how == "app" and mechanism != "EXTERNAL"
            visitor.proved = Entitlement("auth", user, APP_SENDER if is_app else "")
        self._count(session, reply)
        self.check([])

    @rule(session=consumes(sessions), says_goodbye=st.booleans())
    def leave(self, session: Session, says_goodbye: bool) -> None:
        """Go, whatever is unfinished."""
        if says_goodbye and not session.is_over and not session.begun:
            assert session.client.say("QUIT").startswith(b"221 ")
        session.client.leave("close")
        self.open.remove(session)
        self.check([])

    # How it is played

    def _send(self, session: Session, batch: list[Command]) -> None:
        """Send commands in one packet, and check each reply and what came of it all."""
        self._finish_line(session)
        if session.is_over:
            return
        batch = [replace(command, text=self._meant(session, command.text)) for command in batch]
        numbers = [self.stage.written + place for place in range(len(batch))]
        self.stage.written += len(batch)
        for place, command in enumerate(batch):  # the client has to wait where it is asked for a message
            if command.verb == "DATA" and not command.is_hasty:
                batch = batch[: place + 1]
        session.client.send(b"".join(map(_encode, batch, numbers)))
        due: list[bytes] = []
        for place, (command, number) in enumerate(zip(batch, numbers, strict=False)):
            if not session.is_over:
                is_last = place == len(batch) - 1
                due += self._hear(session, command, number, is_last=is_last)
        self.check(due)

    def _meant(self, session: Session, text: str) -> str:
        """A sender that is the client's own, where one was chosen."""
        if text != OWN:
            return text
        entitlement = session.visitor.proved or self.world.admit(session.visitor.address)
        return f"{(entitlement.user if entitlement else '') or 'alice'}@{REALM}"

    def _finish_line(self, session: Session) -> None:
        if session.begun and not session.is_over:
            (command, rest), session.begun = session.begun, None
            session.client.send(rest)
            self.check(self._hear(session, command, 0, is_last=True))

    def _hear(self, session: Session, command: Command, number: int, *, is_last: bool) -> list[bytes]:
        """Hear the reply to a command; what the relay is to have got by it."""
        is_due, due = self._judge(session, command, number, is_last=is_last)
        reply = self._hear_message(session, command, number) if command.verb == "DATA" else session.client.reply()
        assert (reply[:1] == b"2") is is_due, (command, reply, session.visitor, self.world)
        if command.verb != "BDAT":  # who pipelines chunks has sent them before it heard that one was refused
            self._count(session, reply)
        if command.verb == "STARTTLS" and is_due:
            session.client.shake_hands()
            session.visitor.note_tls()
        elif command.verb == "STARTTLS" and reply.startswith(b"501 "):
            self._part(session)
        return due

    def _hear_message(self, session: Session, command: Command, number: int) -> bytes:
        """Hear the reply to a message, once there is somebody to have it; else to what it is if it is no message."""
        reply = session.client.reply()
        if reply.startswith(b"354 "):
            if not command.is_hasty:
                session.client.send(_content(command, number))
            return session.client.reply()
        for _ in range(_content(command, number).count(b"\r\n") if command.is_hasty else 0):
            self._count(session, reply)
            if session.is_over:
                break
            reply = session.client.reply()
            assert reply.startswith(b"500 ")
        return reply

    def _judge(self, session: Session, command: Command, number: int, *, is_last: bool) -> tuple[bool, list[bytes]]:
        """Whether a command must be taken, and what the relay is to get by it."""
        visitor, text = session.visitor, command.text
        match command.verb:
            case "MAIL":
                is_due, comes = visitor.mail(self.world, text), f"MAIL FROM:<{text}>"
            case "RCPT":
                is_due, comes = visitor.rcpt(self.world, text), f"RCPT TO:<{text}>"
            case "DATA":
                is_due, comes = visitor.data(text), f"{number}"
            case "BDAT":
                is_first = not (visitor.transaction and visitor.transaction.has_begun)
                session.number = number if is_first else session.number
                is_due, comes = visitor.bdat(text, is_last=command.is_last), f"{session.number}" * command.is_last
            case "EHLO" | "HELO":
                return visitor.hello(), []
            case "STARTTLS":
                return visitor.starttls(is_alone=is_last), []
            case "RSET":
                return visitor.rset(), []
            case _:
                return command.verb in ("NOOP", "VRFY"), []
        return is_due, [comes.encode()] if is_due and comes else []

    def _count(self, session: Session, reply: bytes) -> None:
        """Know whether the service has had enough of a client."""
        session.mistakes += reply[:3] in (b"500", b"501", b"502", b"503", b"504", b"555")
        if session.mistakes >= MISTAKES and not session.is_over:
            assert session.client.reply().startswith(b"421 ")
            self._part(session)

    def _part(self, session: Session) -> None:
        assert session.client.reply() == b""
        session.is_over = True


def exchange(client: Client, mechanism: str, user: str, password: str, how: str) -> bytes:
    """Lead an exchange to its end; the last reply."""
    first = {"PLAIN": f"\0{user}\0{password}", "SCRAM-SHA-256": f"n,,n={user},r=nonce"}.get(mechanism, "")

    def answer(challenge: str) -> str:
        match mechanism:
            case "LOGIN":
                return user if challenge.startswith("User") else password
            case "CRAM-MD5":
                return sasl_client.cram_md5(challenge, user, password)
            case "SCRAM-SHA-256":
                return sasl_client.scram(challenge, first, password) if challenge.startswith("r=") else ""
            case _:
                return user

    reply = client.say(f"AUTH {mechanism} {_base64(first)}{'!' * (how == 'garbage')}".rstrip())
    while reply.startswith(b"334 "):
        spoiled = {"abort": "*", "garbage": "!"}.get(how)
        reply = client.say(spoiled or _base64(answer(base64.b64decode(reply[4:]).decode())))
    return reply


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _argument(command: Command) -> str:
    return {"MAIL": f"FROM:<{command.text}>", "RCPT": f"TO:<{command.text}>"}.get(command.verb, command.text)


def _content(command: Command, number: int) -> bytes:
    """A message by an author, and its end."""
    return f"From: {command.text}\r\nX-Number: {number}\r\n\r\nXYZZY\r\n.\r\n".encode()


def _encode(command: Command, number: int) -> bytes:
    match command.verb:
        case "DATA":
            return b"DATA\r\n" + (_content(command, number) if command.is_hasty else b"")
        case "BDAT":
            text = f"From: {command.text}\r\nX-Number: {number}\r\n\r\nMAIL FROM:<eve@example.org>\r\n".encode()
            return b"BDAT %d%b\r\n%b" % (len(text), b" LAST" if command.is_last else b"", text)
        case _:
            return f"{command.verb} {_argument(command)}".rstrip().encode() + b"\r\n"


# The stage


@pytest.fixture(scope="module", params=[False, True], ids=["for users", "as a backup too"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with public_folder() as folder, Sink() as sink:
        authority = ClientAuthority()
        (folder / "clients.pem").write_bytes(authority.pem)
        certificates = {}
        for user in ("bob", "stranger"):
            certificates[user] = authority.issue(folder / f"{user}.pem", f"CN={user}")
        server = Server(
            folder,
            sink.address,
            {
                "tls": {"client_ca": "clients.pem"},
                "auth": {
                    "mechanisms": ["SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL"],
                    "require_tls": False,
                    "exempt": ["0.0.0.0/0", "::/0"],
                    "certificate_login": True,
                    "certificate": [{"user": user, "subject": f"CN={user}"} for user in ("bob", "stranger")],
                },
                "limits": {"auth_failures": 1000},
                "policy": {
                    "rewritten_recipients": request.param,
                    "sender": "own",
                    "from_header": "own",
                    "senders": [{"user": user, "addresses": list(more)} for user, more in SENDERS.items()],
                },
                "pop_before_smtp": {
                    "enabled": True,
                    "logs": [],
                    "formats": [],
                    "static": sorted(STATIC),
                    "deny": sorted(DENIED),
                    "shared": sorted(SHARED - {"127.0.0.1"}),
                    "relay_domains": [RELAY_DOMAIN] if request.param else [],
                },
            },
            [sys.executable, "-c", IMPATIENT],
        )
        listeners = [server.listener(kind) for kind in server.ports]
        server.ports["closed"] = free_port()
        closed = {**server.listener("starttls", server.ports["closed"]), "pop_before_smtp": False}
        server.configure({"listen": [*listeners, closed]})
        server.add_user("nobody", "in particular")
        settings = load(server.configuration)
        sealer = Sealer.from_file(settings.store.key_file)
        with (
            server,
            contextlib.closing(open_store(settings.store.url)) as store,
            contextlib.closing(SqliteState(settings.state_dir / "state.db")) as state,
        ):
            records = {
                (user, password): _record(store, sealer, user, password) for user in USERS for password in PASSWORDS
            }
            yield Stage(server, sink, store, GrantTable(state), records, certificates, request.param)


def _record(store: Store, sealer: Sealer, user: str, password: str) -> Record:
    record = make_record(store, sealer, Login(user, REALM), password, keep_secret=True)
    app_password = AppPassword("printer", digest(APP_PASSWORD), senders=(APP_SENDER,))
    return replace(record, app_passwords=(app_password,)) if user == "alice" else record


@pytest.mark.timeout(6 * hypothesis_settings.default.max_examples)  # several times what it takes
def test_the_relay_gets_only_what_somebody_was_entitled_to_send(stage: Stage) -> None:
    plays = hypothesis_settings.default.max_examples * 3 // 5  # each is a hundred commands or more
    run_state_machine_as_test(
        lambda: Gate(stage), settings=hypothesis_settings(max_examples=plays, stateful_step_count=40)
    )
