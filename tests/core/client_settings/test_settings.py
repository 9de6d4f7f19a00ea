import pytest

from submission.core.client_settings import Incoming, NoWayError, Server
from submission.core.client_settings.settings import LoginMethod
from tests.support.client_settings import settings


@pytest.mark.parametrize(
    ("url", "incoming"),
    [
        ("imaps://mail.example.com", Incoming("imap", Server("mail.example.com", 993, "implicit"))),
        ("imap://mail.example.com/", Incoming("imap", Server("mail.example.com", 143, "starttls"))),
        ("pop3s://mail.example.com:1995", Incoming("pop3", Server("mail.example.com", 1995, "implicit"))),
        ("pop3://mail.example.com", Incoming("pop3", Server("mail.example.com", 110, "starttls"))),
    ],
)
def test_where_mail_is_read_is_a_url(url: str, incoming: Incoming) -> None:
    assert Incoming.parse(url) == incoming


@pytest.mark.parametrize(
    "url",
    ["", "mail.example.com", "https://x", "imaps://", "imaps://x:0", "imaps://x:65536", "imaps://a b", "imap://x\n"],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be imaps://"):
        Incoming.parse(url)


@pytest.mark.parametrize(
    ("mechanisms", "logins"),
    [
        (("CRAM-MD5", "LOGIN"), (LoginMethod.PASSWORD, LoginMethod.ENCRYPTED_PASSWORD)),
        (("DIGEST-MD5",), (LoginMethod.ENCRYPTED_PASSWORD,)),
        (("EXTERNAL", "XOAUTH2"), (LoginMethod.TOKEN, LoginMethod.CERTIFICATE)),
    ],
)
def test_ways_to_log_in_are_those_that_people_know(
    mechanisms: tuple[str, ...], logins: tuple[LoginMethod, ...]
) -> None:
    assert settings(mechanisms=mechanisms).logins == logins


def test_there_may_be_none() -> None:
    with pytest.raises(NoWayError, match="add PLAIN"):
        _ = settings(mechanisms=("SCRAM-SHA-256",)).logins
