from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core import replies
from submission.core.addresses import Login, Mailbox, parse_mailbox
from submission.core.admission import Admission
from submission.core.grants import Grant
from submission.core.transaction import Identity, Via

ALICE = Login("alice", "example.com")
CLOSED = Admission("example.com")
OPEN = Admission(
    "example.com",
    static=(ip_network("192.168.0.0/16"), ip_network("2001:db8:1::/48")),
    deny=(ip_network("192.168.66.0/24"),),
    shared=(ip_network("10.9.0.0/16"),),
)
BACKUP = Admission("example.com", deny=(ip_network("192.0.2.66"),), relay_domains=frozenset({"example.org"}))


def grant(address: str, user: str = "alice@example.com") -> Grant:
    return Grant(address, user, "pop3", "dovecot", 0, 0, 10)


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1", "::1", "", "local", "192.168.1.1"])
def test_without_lists_and_grants_nobody_has_an_identity(address: str) -> None:
    assert CLOSED.identify(address, None) is None


@pytest.mark.parametrize(
    ("address", "identity"),
    [
        ("192.168.3.4", Identity(Via.STATIC, None)),
        ("::ffff:192.168.3.4", Identity(Via.STATIC, None)),
        ("2001:db8:1::7", Identity(Via.STATIC, None)),
        ("192.169.3.4", None),
        ("192.168.66.4", None),  # deny wins over static
        ("2001:db8:2::7", None),
    ],
)
def test_static_networks(address: str, identity: Identity | None) -> None:
    assert OPEN.identify(address, None) == identity


def test_a_grant_makes_the_mail_its_user_s() -> None:
    assert CLOSED.identify("192.0.2.1", grant("192.0.2.1")) == Identity(Via.POP, ALICE)
    assert OPEN.identify("192.0.2.1", grant("192.0.2.1")) == Identity(Via.POP, ALICE)
    assert OPEN.identify("192.168.3.4", grant("192.168.3.4", "alice")) == Identity(Via.POP, ALICE)


@pytest.mark.parametrize("address", ["192.168.66.4", "10.9.0.1", "", "nonsense"])
def test_a_grant_that_should_not_be_there_is_worth_nothing(address: str) -> None:
    assert OPEN.identify(address, grant(address)) is None
    assert not OPEN.may_have_grant(address)


def test_any_other_address_may_have_one() -> None:
    assert CLOSED.may_have_grant("192.0.2.1")
    assert OPEN.may_have_grant("192.0.2.1")
    assert OPEN.may_have_grant("::ffff:192.168.3.4")
    assert not OPEN.may_have_grant("::ffff:10.9.0.1")


def test_a_user_that_is_no_login_gives_nobody_an_identity() -> None:
    assert OPEN.identify("192.0.2.1", grant("192.0.2.1", "a\nb")) is None


def test_a_relay_domain_is_open_to_everybody_but_the_denied() -> None:
    assert BACKUP.identify("203.0.113.9", None) == Identity(Via.RELAY, None)
    assert BACKUP.identify("192.0.2.66", None) is None


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        (b"bob@example.org", None),
        (b"bob+list@sub.EXAMPLE.org", None),
        (b"bob@example.org.", None),
        (b"bob@example.com", replies.RELAYING_DENIED),
        (b"bob@badexample.org", replies.RELAYING_DENIED),
        (b"bob@example.org.evil.example", replies.RELAYING_DENIED),
        (b"bob@org", replies.RELAYING_DENIED),
        (b"postmaster", replies.RELAYING_DENIED),
        (b"bob%evil.example@example.org", replies.RELAYING_DENIED),
        (b"evil.example!bob@example.org", replies.RELAYING_DENIED),
        (b'"bob@evil.example"@example.org', replies.RELAYING_DENIED),
        (b"bob@[192.0.2.1]", replies.RELAYING_DENIED),
        (b"|cat@example.org", replies.RELAYING_DENIED),
    ],
)
def test_to_whom_anybody_may_write(recipient: bytes, reply: replies.Reply | None) -> None:
    mailbox = parse_mailbox(recipient)
    assert mailbox is not None
    assert BACKUP.refuse_recipient(Identity(Via.RELAY, None), mailbox) is reply
    for identity in (Identity(Via.AUTH, ALICE), Identity(Via.POP, ALICE), Identity(Via.STATIC, None)):
        assert BACKUP.refuse_recipient(identity, mailbox) is None


def test_lists_do_not_change() -> None:
    with pytest.raises(AttributeError):
        CLOSED.relay_domains = frozenset({"example.org"})  # type: ignore[misc]


def test_without_relay_domains_nobody_is_relayed_to() -> None:
    recipient = Mailbox(b"bob@example.org", b"bob", b"example.org")
    assert CLOSED.refuse_recipient(Identity(Via.RELAY, None), recipient) is replies.RELAYING_DENIED


@given(st.binary(min_size=1, max_size=30), st.binary(min_size=1, max_size=30))
def test_no_octets_lead_anybody_elsewhere(local: bytes, domain: bytes) -> None:
    reply = BACKUP.refuse_recipient(Identity(Via.RELAY, None), Mailbox(local + b"@" + domain, local, domain))
    assert reply is replies.RELAYING_DENIED
