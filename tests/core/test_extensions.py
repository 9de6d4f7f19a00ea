import pytest

from submission.core.extensions import message_limit, offer, recipient_limit

OURS = [
    ("PIPELINING", ""),
    ("ENHANCEDSTATUSCODES", ""),
    ("CHUNKING", ""),
    ("HELP", ""),
    ("SIZE", "1000"),
    ("LIMITS", "RCPTMAX=100"),
]
SENDMAIL = {
    "ENHANCEDSTATUSCODES": "",
    "PIPELINING": "",
    "EXPN": "",
    "VERB": "",
    "8BITMIME": "",
    "SIZE": "",
    "DSN": "",
    "ETRN": "",
    "AUTH": "DIGEST-MD5 CRAM-MD5",
    "DELIVERBY": "0",
    "HELP": "",
}


def offered(relay: dict[str, str], *mechanisms: str, can_start_tls: bool = False) -> list[tuple[str, str]]:
    return list(
        offer(relay, max_size=1000, max_recipients=100, mechanisms=mechanisms, can_start_tls=can_start_tls).items()
    )


def test_without_a_relay_we_offer_what_is_ours() -> None:
    assert offered({}) == OURS


def test_of_the_relay_s_extensions_only_those_that_we_pass_on() -> None:
    assert offered(SENDMAIL, "PLAIN", "LOGIN", can_start_tls=True) == [
        *OURS,
        ("8BITMIME", ""),
        ("DSN", ""),
        ("DELIVERBY", "0"),
        ("AUTH", "PLAIN LOGIN"),
        ("STARTTLS", ""),
    ]


def test_smtputf8_needs_a_relay_that_knows_it() -> None:
    assert ("SMTPUTF8", "") not in offered(SENDMAIL)
    assert ("SMTPUTF8", "") in offered({**SENDMAIL, "SMTPUTF8": ""})


@pytest.mark.parametrize("dangerous", ["BINARYMIME", "XCLIENT", "XFORWARD", "BURL", "ETRN", "STARTTLS", "AUTH"])
def test_what_we_do_not_speak_is_never_offered_because_the_relay_does(dangerous: str) -> None:
    assert dangerous not in dict(offered({dangerous: ""}))


def test_limits_are_ours_with_the_relay_s_number_at_most() -> None:
    assert ("LIMITS", "RCPTMAX=100") in offered({"LIMITS": "MAILMAX=5 RCPTMAX=2"})  # it is the caller who compares


@pytest.mark.parametrize(
    ("stated", "limit"),
    [
        ("", 100),
        ("RCPTMAX=20", 20),
        ("rcptmax=20", 20),
        ("MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1", 20),
        ("RCPTMAX=2000", 100),
        ("RCPTDOMAINMAX=1", 100),
        ("XRCPTMAX=1", 100),
        ("RCPTMAX=0", 100),
        ("RCPTMAX=-1", 100),
        ("RCPTMAX=1x", 100),
        ("RCPTMAX=1000000", 100),
        ("RCPTMAX=" + "9" * 5000, 100),
    ],
)
def test_the_smaller_number_of_recipients_counts(stated: str, limit: int) -> None:
    assert recipient_limit({"LIMITS": stated}, 100) == limit


@pytest.mark.parametrize(
    ("stated", "limit"),
    [
        ("", 1000),
        ("0", 1000),
        ("500", 500),
        ("1000", 1000),
        ("2000", 1000),
        ("99999999999999999999", 1000),
        ("9" * 5000, 1000),  # more digits than Python makes an int of
        ("-1", 1000),
        ("+1", 1000),
        ("1_0", 1000),
        ("500 600", 1000),
        ("unlimited", 1000),
        ("\u0661\u0662", 1000),
        ("\xb2", 1000),
    ],
)
def test_the_smaller_limit_counts(stated: str, limit: int) -> None:
    assert message_limit({"SIZE": stated}, 1000) == limit


def test_a_relay_without_size_sets_no_limit() -> None:
    assert message_limit({}, 1000) == 1000
