import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.headers import Client, Hop, date, message_id, received

WHEN = datetime(2026, 11, 21, 10, 0, 0, tzinfo=timezone(timedelta(hours=1)))
HOP = Hop("mail.example.com", True, "TLSv1.3", "TLS_AES_256_GCM_SHA384", True, False, "0123456789ab.1")


def hop(*, extended: bool = True, tls: str = "", authenticated: bool = False, utf8: bool = False) -> Hop:
    return Hop("mail.example.com", extended, tls, "TLS_AES_128_GCM_SHA256", authenticated, utf8, "0123456789ab.1")


def test_the_client_is_hidden() -> None:
    assert received(HOP, WHEN) == (
        b"Received: by mail.example.com with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tid 0123456789ab.1; Sat, 21 Nov 2026 10:00:00 +0100\r\n"
    )


def test_what_a_message_lacks() -> None:
    assert date(WHEN) == b"Date: Sat, 21 Nov 2026 10:00:00 +0100\r\n"
    ids = {message_id("mail.example.com") for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(rb"Message-ID: <[0-9a-f]{24}@mail\.example\.com>\r\n", each) for each in ids)


def test_the_client_is_shown() -> None:
    client = Client("laptop.example", "[192.0.2.7]", "alice@example.com")
    assert received(HOP, WHEN, client) == (
        b"Received: from laptop.example ([192.0.2.7]) (user alice@example.com)\r\n"
        b"\tby mail.example.com with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tid 0123456789ab.1; Sat, 21 Nov 2026 10:00:00 +0100\r\n"
    )


def test_a_client_without_a_login_and_a_connection_without_tls() -> None:
    field = received(hop(), WHEN, Client("[192.0.2.7]", "[192.0.2.7]", ""))
    assert field.startswith(b"Received: from [192.0.2.7] ([192.0.2.7])\r\n\tby mail.example.com with ESMTP\r\n\tid ")


@pytest.mark.parametrize(
    ("a_hop", "word"),
    [
        (hop(extended=False), "SMTP"),
        (hop(extended=False, tls="TLSv1.3", authenticated=True, utf8=True), "SMTP"),
        (hop(), "ESMTP"),
        (hop(authenticated=True), "ESMTPA"),
        (hop(tls="TLSv1.2"), "ESMTPS"),
        (hop(tls="TLSv1.2", authenticated=True), "ESMTPSA"),
        (hop(utf8=True), "UTF8SMTP"),
        (hop(utf8=True, authenticated=True), "UTF8SMTPA"),
        (hop(utf8=True, tls="TLSv1.2"), "UTF8SMTPS"),
        (hop(utf8=True, tls="TLSv1.2", authenticated=True), "UTF8SMTPSA"),
    ],
)
def test_protocols_are_those_registered(a_hop: Hop, word: str) -> None:
    """RFC 3848 section 2 and RFC 6531 section 4.3."""
    assert a_hop.protocol == word
    assert f" with {word}" in received(a_hop, WHEN).decode().replace("\r\n", " ")


@pytest.mark.parametrize("cipher", ["TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "AES128-SHA"])
@pytest.mark.parametrize("client", [None, Client("laptop.example", "[IPv6:2001:db8::7]", "alice@example.com")])
def test_lines_are_of_the_recommended_length(cipher: str, client: Client | None) -> None:
    field = received(Hop("mx.example.com", True, "TLSv1.2", cipher, True, False, "0123456789ab.1"), WHEN, client)
    assert max(map(len, field.split(b"\r\n"))) <= 78


def test_the_longest_names_still_fit_a_line() -> None:
    longest = Hop("h" * 253, True, "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305", True, True, "0123456789ab.999999")
    client = Client("c" * 255, "[IPv6:" + "2001:0db8:" * 4 + "]", "u" * 255 + "@" + "r" * 255)
    assert max(map(len, received(longest, WHEN, client).split(b"\r\n"))) <= 998


# A host name as a session lets it pass: printable, no blanks.
printable = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)


@given(printable, printable.map(lambda text: text + "@example.com"))
def test_whatever_a_client_calls_itself_the_field_stays_one(hello: str, user: str) -> None:
    field = received(HOP, WHEN, Client(hello, "[192.0.2.7]", user))
    assert field.endswith(b"\r\n")
    lines = field[:-2].split(b"\r\n")
    assert len(lines) == 3
    assert all(re.fullmatch(rb"\t[^\r\n\0]+", line) for line in lines[1:])
    message = message_from_bytes(field + b"Subject: hi\r\n\r\nbody\r\n")
    assert message.keys() == ["Received", "Subject"]
    assert message.get_payload() == "body\r\n"


@given(st.integers(0, 4_000_000_000), st.integers(-14 * 60, 14 * 60))
def test_the_date_is_that_of_the_clock_with_its_zone(seconds: int, minutes: int) -> None:
    when = datetime.fromtimestamp(seconds, timezone(timedelta(minutes=minutes)))
    date = received(HOP, when).decode().rsplit("; ", 1)[1]
    assert parsedate_to_datetime(date) == when
    assert re.search(r" [+-]\d{4}\r\n$", date)


def test_utc_is_written_as_a_zone() -> None:
    assert received(HOP, WHEN.astimezone(UTC)).endswith(b"; Sat, 21 Nov 2026 09:00:00 +0000\r\n")
