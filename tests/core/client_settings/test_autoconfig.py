from xml.etree import ElementTree

import pytest

from submission.core.client_settings import NoWayError
from submission.core.client_settings.autoconfig import write
from tests.support.client_settings import POP3, SUBMISSIONS, settings


def servers(document: bytes, tag: str) -> list[list[str | None]]:
    """What is said of each server of a kind."""
    root = ElementTree.fromstring(document)
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    return [[child.text for child in server] for server in root.findall(f"emailProvider/{tag}")]


def test_thunderbird_is_told_of_each_server_the_best_first() -> None:
    document = write(settings())
    logins = ["password-cleartext", "password-encrypted"]
    assert servers(document, "outgoingServer") == [
        ["mail.example.com", "465", "SSL", "%EMAILADDRESS%", *logins],
        ["mail.example.com", "587", "STARTTLS", "%EMAILADDRESS%", *logins],
    ]
    assert servers(document, "incomingServer") == [
        ["imap.example.com", "993", "SSL", "%EMAILADDRESS%", "password-cleartext"]
    ]
    provider = ElementTree.fromstring(document).find("emailProvider")
    assert provider is not None
    assert provider.get("id") == provider.findtext("domain") == "example.com"


def test_tokens_and_certificates_have_names_there() -> None:
    document = write(settings(SUBMISSIONS, mechanisms=("EXTERNAL", "OAUTHBEARER"), incoming=POP3))
    assert servers(document, "outgoingServer")[0][4:] == ["OAuth2", "TLS-client-cert"]
    assert servers(document, "incomingServer")[0][:3] == ["pop.example.com", "1110", "STARTTLS"]


def test_a_name_can_not_break_out() -> None:
    document = write(settings(realm='"><x>&'))
    assert ElementTree.fromstring(document).findtext("emailProvider/domain") == '"><x>&'


def test_without_a_server_to_read_from_it_would_be_refused_as_a_whole() -> None:
    with pytest.raises(NoWayError, match="incoming"):
        write(settings(incoming=None))
