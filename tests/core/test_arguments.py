import pytest

from submission.core import replies
from submission.core.addresses import NULL, Mailbox
from submission.core.arguments import parse_recipient, parse_sender
from submission.core.replies import Reply

OFFERED = frozenset({"SIZE", "DSN"})
ALICE = Mailbox(b"alice@example.com", b"alice", b"example.com")


def test_a_path_and_its_parameters_their_case_kept() -> None:
    assert parse_sender(b"FROM:<alice@example.com>", OFFERED) == (ALICE, {})
    assert parse_sender(b"from:<alice@example.com> size=10 EnvId=AbC", OFFERED) == (
        ALICE,
        {b"SIZE": b"10", b"ENVID": b"AbC"},
    )
    assert parse_recipient(b"TO:<alice@example.com> NOTIFY=Never", OFFERED) == (ALICE, {b"NOTIFY": b"Never"})


def test_the_null_path_is_a_sender_and_no_recipient() -> None:
    assert parse_sender(b"FROM:<>", OFFERED) == (NULL, {})
    assert parse_recipient(b"TO:<>", OFFERED) is replies.BAD_PATH


@pytest.mark.parametrize(
    ("argument", "refusal"),
    [
        (b"", replies.BAD_SENDER),
        (b"alice@example.com", replies.BAD_SENDER),
        (b"TO:<alice@example.com>", replies.BAD_SENDER),
        (b"FROM:alice@example.com", replies.BAD_SENDER),
        (b"FROM:<@a,@b:alice@example.com>", replies.BAD_PATH),
        (b"FROM:<alice@ex ample.com>", replies.BAD_PATH),
        ("FROM:<\xe4lice@example.com>".encode(), replies.NON_ASCII_ADDRESS),
        (b"FROM:<alice@example.com> SIZE=1 SIZE=2", replies.BAD_PARAMETERS),
        (b"FROM:<alice@example.com> SMTPUTF8", replies.UNKNOWN_PARAMETER),
        (b"FROM:<alice@example.com> NOTIFY=NEVER", replies.UNKNOWN_PARAMETER),
    ],
)
def test_what_is_none_is_refused(argument: bytes, refusal: Reply) -> None:
    assert parse_sender(argument, OFFERED) is refusal


def test_an_address_outside_ascii_needs_smtputf8() -> None:
    parsed = parse_sender("FROM:<\xe4lice@example.com> SMTPUTF8".encode(), {"SMTPUTF8"})
    assert not isinstance(parsed, Reply)
    assert parsed[0].text == "\xe4lice@example.com".encode()


def test_a_recipient_s_syntax_error_is_called_so() -> None:
    assert parse_recipient(b"FROM:<alice@example.com>", OFFERED) is replies.BAD_RECIPIENT
