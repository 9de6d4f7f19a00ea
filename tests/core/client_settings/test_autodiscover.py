from xml.etree import ElementTree

import pytest

from submission.core.client_settings import NoWayError
from submission.core.client_settings.autodiscover import write
from tests.support.client_settings import POP3, SUBMISSION, settings

ACCOUNT = (
    "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}Response/"
    "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}Account"
)


def protocols(document: bytes) -> list[dict[str, str | None]]:
    root = ElementTree.fromstring(document)
    assert root.tag == "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}Autodiscover"
    account = root.find(ACCOUNT)
    assert account is not None
    tables = [{child.tag.partition("}")[2]: child.text for child in entry} for entry in account if len(entry)]
    assert [child.text for child in account if not len(child)] == ["email", "settings"]
    return tables


def test_outlook_is_told_of_the_best_server() -> None:
    imap, smtp = protocols(write(settings()))
    assert (imap["Type"], imap["Server"], imap["Port"], imap["Encryption"]) == (
        "IMAP",
        "imap.example.com",
        "993",
        "SSL",
    )
    assert smtp == {
        "Type": "SMTP",
        "Server": "mail.example.com",
        "Port": "465",
        "DomainRequired": "off",
        "SPA": "off",
        "SSL": "on",
        "Encryption": "SSL",
        "AuthRequired": "on",
        "UsePOPAuth": "off",
        "SMTPLast": "off",
    }


def test_starttls_is_called_tls() -> None:
    pop3, smtp = protocols(write(settings(SUBMISSION, incoming=POP3)))
    assert [pop3["Encryption"], smtp["Encryption"]] == ["TLS", "TLS"]
    assert pop3["Type"] == "POP3"


def test_it_may_be_for_sending_alone() -> None:
    (smtp,) = protocols(write(settings(incoming=None)))
    assert smtp["Type"] == "SMTP"


def test_outlook_has_to_be_let_in() -> None:
    with pytest.raises(NoWayError, match="PLAIN and LOGIN"):
        write(settings(mechanisms=("CRAM-MD5",)))
