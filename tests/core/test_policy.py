import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.addresses import NULL, Login, Mailbox, parse_mailbox
from submission.core.policy import SenderRules, is_rewritten, refuse_app_sender, refuse_from, refuse_sender
from submission.core.transaction import Identity, Via

ALICE = Login("alice", "example.com")
MORE = {b"alice@example.com": (b"info@example.com", b"@list.example.com")}


def mailbox(text: bytes) -> Mailbox:
    parsed = parse_mailbox(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("sender", "realm", "own"),
    [
        (b"alice@example.com", True, True),
        (b"Alice@Example.COM", True, True),
        (b"alice+news@example.com", True, True),
        (b"alice+@example.com", True, False),
        (b"bob@example.com", True, False),
        (b"alicette@example.com", True, False),
        (b"info@example.com", True, True),
        (b"info+x@example.com", True, True),
        (b"anybody@list.example.com", True, True),
        (b"anybody@sub.list.example.com", False, False),
        (b"alice@example.com.evil.example", False, False),
        (b"alice@badexample.com", False, False),
        (b"alice@example.org", False, False),
        (b"alice", False, False),
        (b"example.com", False, False),  # a name without a domain, which is the realm's
        (b'"alice@example.com"@evil.example', False, False),
        (b"alice@[192.0.2.1]", False, False),
    ],
)
def test_as_whom_a_login_may_send(sender: bytes, realm: bool, own: bool) -> None:
    parsed = mailbox(sender)
    assert SenderRules().allows_sender(ALICE, parsed)
    assert SenderRules("realm", "any", MORE).allows_sender(ALICE, parsed) == realm
    assert SenderRules("own", "any", MORE).allows_sender(ALICE, parsed) == own
    assert (SenderRules("any", "own", MORE).find_foreign(ALICE, [parsed.text]) is None) == own


def test_unless_told_every_name_may_be_sent_in_and_what_is_refused_is_refused() -> None:
    assert SenderRules().find_foreign(ALICE, [b"eve@example.org"]) is None
    assert SenderRules().is_enforced


def test_rules_do_not_change() -> None:
    with pytest.raises(AttributeError):
        SenderRules("own").envelope = "any"  # type: ignore[misc]


def test_the_rule_for_from_is_another_than_that_for_the_envelope() -> None:
    rules = SenderRules("own", "realm")
    assert not rules.allows_sender(ALICE, mailbox(b"bob@example.com"))
    assert rules.find_foreign(ALICE, [b"bob@example.com"]) is None


def test_somebody_else_s_lines_are_not_one_s_own() -> None:
    assert not SenderRules("own", "own", MORE).allows_sender(
        Login("alice", "example.org"), mailbox(b"info@example.com")
    )


def test_the_null_sender_is_nobody_s_name() -> None:
    assert SenderRules("own", "own").allows_sender(ALICE, NULL)


def test_each_address_of_from_has_to_be_allowed() -> None:
    rules = SenderRules("any", "own", MORE)
    assert rules.find_foreign(ALICE, []) is None
    assert rules.find_foreign(ALICE, [b"alice@example.com", b"info@example.com"]) is None
    assert rules.find_foreign(ALICE, [b"alice@example.com", b"ceo@example.com"]) == b"ceo@example.com"


def test_other_letters_than_ascii_have_no_case() -> None:
    rules = SenderRules("own", "own", {"\u00e9ve@example.com".encode(): (b"info@example.com",)})
    assert rules.find_foreign(Login("\u00e9ve", "example.com"), [b"info@example.com"]) is None
    assert rules.find_foreign(Login("\u00c9ve", "example.com"), [b"info@example.com"]) == b"info@example.com"


def test_the_reply_names_the_address_and_the_user() -> None:
    alice = Identity(Via.AUTH, ALICE)
    reply = refuse_sender(mailbox("caf\u00e9@example.org".encode()), alice)
    assert reply.text == "553 5.7.1 Sender <caf?@example.org> is not one of alice@example.com"
    assert refuse_from(b"x\r\n250 ok@y", alice).text == "553 5.7.1 From <x??250?ok@y> is not one of alice@example.com"


def test_whose_grant_it_is_is_not_told() -> None:
    """Regression: whoever shared an address with a user who read mail there could ask for their login."""
    alice = Identity(Via.POP, ALICE)
    for refusal in (refuse_sender(mailbox(b"eve@example.org"), alice), refuse_from(b"eve@example.org", alice)):
        assert "alice" not in refusal.text
        assert refusal.text.endswith(" <eve@example.org> is not one of the user who has read mail from your address")


@pytest.mark.parametrize(
    "recipient",
    [b"a%b@example.com", b"b!a@example.com", b'"a@b"@example.com', b'"a:b"@example.com', b'"a"@example.com'],
)
def test_forms_that_sendmail_would_send_elsewhere(recipient: bytes) -> None:
    assert is_rewritten(mailbox(recipient))


@pytest.mark.parametrize(
    "recipient", [b"a.b+c@example.com", b"o'neil@example.com", b"postmaster", "caf\u00e9@x.y".encode()]
)
def test_forms_that_are_what_they_seem(recipient: bytes) -> None:
    assert not is_rewritten(mailbox(recipient))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_octets_are_somebody_else_s_address(local: bytes, domain: bytes) -> None:
    text = local + b"@" + domain
    rules = SenderRules("own", "own")
    if rules.find_foreign(ALICE, [text]) is None:
        assert text.lower().startswith(b"alice")
        assert text.lower().endswith(b"@example.com")


def test_what_an_app_password_is_not_good_for_is_told_with_whose_it_is() -> None:
    refusal = refuse_app_sender(mailbox(b"~info!@example.com"), ALICE).encode()
    assert refusal == (
        b"553 5.7.1 Sender <~info!@example.com> is not one that this app password of alice@example.com is good for\r\n"
    )


def test_a_name_is_shown_as_far_as_it_is_ascii_and_not_endlessly() -> None:
    alice = Identity(Via.AUTH, ALICE)
    assert b" <b?> " in refuse_from(b"b\xff", alice).encode()
    assert refuse_from(b"x" * 1000, alice).encode().count(b"x") == 200 + b"example".count(b"x")
