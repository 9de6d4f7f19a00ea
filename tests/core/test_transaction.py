import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from submission.core import replies
from submission.core.addresses import NULL, Login
from submission.core.replies import Reply
from submission.core.transaction import ORDER, Envelope, Identity, Peer, Phase, Via, refuse_mail, refuse_order

ALICE = Identity(Via.AUTH, Login("alice", "example.com"))

# RFC 5321 sections 3.3 and 4.1.4, RFC 3207 section 4, RFC 4954 section 4 and RFC 3030 section 2, a row a verb: what
# CONNECTED, READY, SENDER, RECIPIENTS and CHUNKS say to it.
HELLO_FIRST = replies.HELLO_FIRST
TABLE: dict[str, tuple[Reply | None, ...]] = {
    "EHLO": (None, None, None, None, None),
    "HELO": (None, None, None, None, None),
    "NOOP": (None, None, None, None, None),
    "HELP": (None, None, None, None, None),
    "VRFY": (None, None, None, None, None),
    "EXPN": (None, None, None, None, None),
    "RSET": (None, None, None, None, None),
    "QUIT": (None, None, None, None, None),
    "STARTTLS": (HELLO_FIRST, None, replies.TLS_NOT_NOW, replies.TLS_NOT_NOW, replies.TLS_NOT_NOW),
    "AUTH": (HELLO_FIRST, None, replies.AUTH_NOT_NOW, replies.AUTH_NOT_NOW, replies.AUTH_NOT_NOW),
    "MAIL": (HELLO_FIRST, None, *[replies.MAIL_IN_PROGRESS] * 3),
    "RCPT": (HELLO_FIRST, replies.MAIL_FIRST, None, None, replies.CHUNKS_FIRST),
    "DATA": (HELLO_FIRST, replies.MAIL_FIRST, replies.RECIPIENT_FIRST, None, replies.CHUNKS_FIRST),
    "BDAT": (HELLO_FIRST, replies.MAIL_FIRST, replies.RECIPIENT_FIRST, None, None),
}


def test_every_verb_is_in_the_table() -> None:
    assert set(ORDER) == set(TABLE)
    for verb, row in ORDER.items():
        assert set(row) in (set(), set(Phase)), verb


@pytest.mark.parametrize("verb", TABLE)
@pytest.mark.parametrize("phase", Phase)
def test_every_verb_in_every_phase(verb: str, phase: Phase) -> None:
    assert refuse_order(verb, phase) is TABLE[verb][list(Phase).index(phase)]


def test_whatever_refuses_an_order_is_a_503_where_the_order_is_the_fault() -> None:
    for verb, row in ORDER.items():
        assert {reply.code for reply in row.values() if reply} <= {503}, verb


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ORDER["MAIL"] = {}  # type: ignore[index]
    with pytest.raises(TypeError):
        ORDER["MAIL"][Phase.CONNECTED] = None  # type: ignore[index]
    with pytest.raises(TypeError):
        ORDER["NOOP"][Phase.CONNECTED] = None  # type: ignore[index]


def test_a_verb_that_is_not_in_the_table_is_the_callers_mistake() -> None:
    with pytest.raises(KeyError):
        refuse_order("XYZZY", Phase.READY)


@pytest.mark.parametrize(
    ("identity", "can_start_tls", "reply"),
    [
        (None, True, replies.TLS_REQUIRED),
        (None, False, replies.AUTH_REQUIRED),
        (ALICE, True, None),
        (ALICE, False, None),
    ],
)
def test_the_gate(identity: Identity | None, can_start_tls: bool, reply: Reply | None) -> None:
    assert refuse_mail(identity, can_start_tls=can_start_tls) is reply


def test_the_gate_refuses_with_530_5_7_0() -> None:
    for can_start_tls in (True, False):
        reply = refuse_mail(None, can_start_tls=can_start_tls)
        assert reply is not None
        assert reply.encode().startswith(b"530 5.7.0 ")


def test_of_a_new_peer_nothing_is_known() -> None:
    peer = Peer("0123")
    assert (peer.address, peer.tls, peer.cipher, peer.certified, peer.hello, peer.password) == ("",) * 6
    assert (peer.end_point, peer.identity, peer.user, peer.offered) == (None, None, None, frozenset())


def test_a_peer_s_password_is_not_shown() -> None:
    assert "sesame" not in repr(Peer("0123", password="sesame"))


def test_ways_are_words_of_the_log() -> None:
    assert [via.value for via in Via] == ["auth", "pop", "static", "relay"]


def test_what_was_said_in_the_clear_is_forgotten_and_where_it_comes_from_is_not() -> None:
    peer = Peer("0123", "192.0.2.1", hello="client.example", offered=frozenset({"SIZE", "DSN"}), identity=ALICE)
    assert peer.user == "alice@example.com"
    peer.password = "sesame"
    peer.forget()
    assert peer == Peer("0123", "192.0.2.1")
    assert peer.user is None


def test_nobody_in_particular_has_no_name() -> None:
    assert Identity(Via.STATIC, None).user is None


def test_unless_told_an_identity_may_name_every_sender() -> None:
    assert ALICE.senders == ()


def test_an_identity_does_not_change() -> None:
    with pytest.raises(AttributeError):
        ALICE.login = Login("mallory", "example.com")  # type: ignore[misc]


def test_envelopes_share_nothing() -> None:
    anybody = Identity(Via.STATIC, None)
    first, second = Envelope(NULL, anybody), Envelope(NULL, anybody)
    first.parameters[b"SIZE"] = b"1"
    assert second.parameters == {}
    assert second.recipients == 0


class Sessions(RuleBasedStateMachine):
    """A session as the tables lead it, every command at any time, with the replies of the relay left to chance.

    It keeps a record of its own of what a client must have done, and no field of it is ever asked what may come next:
    that is the tables' to say. Whatever the order of the commands, an accepted MAIL has an identity behind it that was
    proved since the last STARTTLS.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peer = Peer("0123")
        self.phase = Phase.CONNECTED
        self.can_start_tls = True
        self.sender_by: Identity | None = None  # who said the MAIL that is open
        self.proved = False  # AUTH succeeded, and no STARTTLS since
        self.greeted = False
        self.has_recipient = False

    def allowed(self, verb: str) -> bool:
        reply = refuse_order(verb, self.phase)
        assert reply is None or 500 <= reply.code <= 599
        return reply is None

    def end(self) -> None:
        self.sender_by, self.has_recipient = None, False

    @rule(verb=st.sampled_from(["EHLO", "HELO"]))
    def hello(self, verb: str) -> None:
        assert self.allowed(verb)
        self.peer.hello, self.phase, self.greeted = "client.example", Phase.READY, True
        self.end()

    @rule()
    def starttls(self) -> None:
        if self.allowed("STARTTLS") and self.can_start_tls:
            assert self.greeted
            assert self.sender_by is None
            self.peer.forget()
            self.phase, self.can_start_tls, self.proved, self.greeted = Phase.CONNECTED, False, False, False

    @rule(succeeds=st.booleans())
    def auth(self, succeeds: bool) -> None:
        if self.allowed("AUTH"):
            assert self.sender_by is None, "an identity would change inside a transaction"
            if succeeds and self.peer.identity is None:
                self.peer.identity, self.proved = ALICE, True

    @rule(relay_accepts=st.booleans())
    def mail(self, relay_accepts: bool) -> None:
        if self.allowed("MAIL") and refuse_mail(self.peer.identity, can_start_tls=self.can_start_tls) is None:
            assert self.proved, "MAIL without an identity"
            assert self.greeted
            assert self.sender_by is None
            if relay_accepts:
                self.phase, self.sender_by = Phase.SENDER, self.peer.identity

    @rule(relay_accepts=st.booleans())
    def rcpt(self, relay_accepts: bool) -> None:
        if self.allowed("RCPT"):
            assert self.sender_by is not None
            if relay_accepts:
                self.phase, self.has_recipient = Phase.RECIPIENTS, True

    @rule()
    def data(self) -> None:
        if self.allowed("DATA"):
            assert self.sender_by is not None
            assert self.has_recipient
            self.phase = Phase.READY
            self.end()

    @rule(verb=st.sampled_from(["NOOP", "HELP", "VRFY", "EXPN", "QUIT"]))
    def small(self, verb: str) -> None:
        assert self.allowed(verb)

    @rule()
    def rset(self) -> None:
        assert self.allowed("RSET")
        if self.phase is not Phase.CONNECTED:
            self.phase = Phase.READY
        self.end()

    @invariant()
    def a_transaction_has_an_owner(self) -> None:
        if self.phase in (Phase.SENDER, Phase.RECIPIENTS):
            assert self.sender_by is not None
            assert self.sender_by is self.peer.identity


TestSessions = Sessions.TestCase
