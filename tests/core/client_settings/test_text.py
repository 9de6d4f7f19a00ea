from submission.core.client_settings.text import write
from tests.support.client_settings import SUBMISSION, settings


def test_a_person_is_told_in_the_words_of_mail_programs() -> None:
    assert write(settings()).decode() == (
        "Outgoing mail (SMTP)\n"
        "  Server     mail.example.com, port 465, SSL/TLS\n"
        "  or         mail.example.com, port 587, STARTTLS\n"
        "  User name  the whole of it, such as alice@example.com\n"
        '  Login      password, as "normal password"\n'
        '  or         "encrypted password", for programs that insist on it\n'
        "\n"
        "Incoming mail (IMAP)\n"
        "  Server     imap.example.com, port 993, SSL/TLS\n"
    )


def test_only_what_there_is() -> None:
    assert write(settings(SUBMISSION, mechanisms=("PLAIN",), incoming=None)).decode().splitlines() == [
        "Outgoing mail (SMTP)",
        "  Server     mail.example.com, port 587, STARTTLS",
        "  User name  the whole of it, such as alice@example.com",
        '  Login      password, as "normal password"',
    ]
