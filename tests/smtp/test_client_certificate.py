from collections.abc import Callable, Sequence

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import example, given
from hypothesis import strategies as st

from submission.config.vouchers import CertificateUser
from submission.smtp.client_certificate import find_user
from tests.support.client_authority import ClientAuthority

AUTHORITY = ClientAuthority()
ENTRIES = (
    CertificateUser(user="alice", email="alice@example.com"),
    CertificateUser(user="bob@example.org", subject="CN=Bob,O=Example"),
    CertificateUser(user="carol", subject="CN=Alice,O=Example"),
)


def certificate(subject: str = "CN=Nobody", emails: Sequence[str] = ()) -> bytes:
    made, _ = AUTHORITY.make(subject, emails)
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("subject", "emails", "user"),
    [
        ("CN=Nobody", ["alice@example.com"], "alice"),
        ("CN=Nobody", ["alice@EXAMPLE.com"], "alice"),
        ("CN=Nobody", ["other@example.net", "alice@example.com"], "alice"),
        ("CN=Bob,O=Example", [], "bob@example.org"),
        ("CN=Alice,O=Example", [], "carol"),
        ("CN=Alice,O=Example", ["alice@example.com"], "alice"),  # the first entry that fits
    ],
)
def test_whose_a_certificate_is(subject: str, emails: list[str], user: str) -> None:
    assert find_user(certificate(subject, emails), ENTRIES, "session") == user


@pytest.mark.parametrize(
    ("subject", "emails"),
    [
        ("CN=Nobody", []),
        ("CN=Nobody", ["Alice@example.com"]),
        ("CN=Nobody", ["alice@example.com.evil.example", "malice@example.com", "alice"]),
        ("CN=alice@example.com", []),
        ("CN=Bob", []),
        ("CN=bob,O=Example", []),
        ("O=Example,CN=Bob", []),
        ("CN=Bob,O=Example,C=DE", []),
        ("CN=Bob\\,O=Example", []),
        ("CN=Bob+O=Example", []),
    ],
)
def test_a_part_or_a_likeness_is_not_enough(subject: str, emails: list[str]) -> None:
    assert find_user(certificate(subject, emails), ENTRIES, "session") == ""


def test_the_log_says_what_there_is_to_list(logged: Callable[[], list[dict[str, object]]]) -> None:
    find_user(certificate("CN=Dave,O=Example", ["dave@example.com", "d@example.com"]), ENTRIES, "0123456789ab")
    find_user(certificate("CN=Bob,O=Example"), ENTRIES, "0123456789ab")
    assert [{name: value for name, value in line.items() if name != "time"} for line in logged()] == [
        {
            "event": "client-certificate",
            "subject": "CN=Dave,O=Example",
            "emails": "dave@example.com,d@example.com",
            "session": "0123456789ab",
        },
        {
            "event": "client-certificate",
            "user": "bob@example.org",
            "subject": "CN=Bob,O=Example",
            "session": "0123456789ab",
        },
    ]


GOOD = certificate("CN=Bob,O=Example", ["alice@example.com"])


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # a warning of what will be refused one day
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=4))
@example(12, b"\x01")  # version 2, which nobody has made
def test_damaged_certificates_raise_nothing(place: int, octets: bytes) -> None:
    """OpenSSL lets none through; what it takes and cryptography doesn't is nobody's."""
    find_user(GOOD[:place] + octets + GOOD[place + len(octets) :], ENTRIES, "session")
