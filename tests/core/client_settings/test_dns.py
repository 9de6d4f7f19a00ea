from submission.core.client_settings.dns import write
from tests.support.client_settings import POP3, SUBMISSION, settings


def test_both_ports_tls_first() -> None:
    assert write(settings()).decode() == (
        "_submissions._tcp.example.com. IN SRV 0 1 465 mail.example.com.\n"
        "_submission._tcp.example.com. IN SRV 10 1 587 mail.example.com.\n"
        "_imaps._tcp.example.com. IN SRV 0 1 993 imap.example.com.\n"
    )


def test_what_is_not_there_is_said_not_to_be() -> None:
    assert write(settings(SUBMISSION, incoming=POP3)).decode() == (
        "_submission._tcp.example.com. IN SRV 0 1 587 mail.example.com.\n"
        "_submissions._tcp.example.com. IN SRV 0 0 0 .\n"
        "_pop3._tcp.example.com. IN SRV 0 1 1110 pop.example.com.\n"
    )
