import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from submission.core.addresses import MAX_LOGIN, MAX_PATH, NULL, Login, Mailbox, encode_xtext, parse_mailbox, split_path

# Logins


@pytest.mark.parametrize(
    ("text", "user", "realm"),
    [
        ("alice", "alice", "example.com"),
        ("alice@example.net", "alice", "example.net"),
        ("alice@example.net@example.org", "alice@example.net", "example.org"),
        ("Alice", "Alice", "example.com"),
        ("alice@MAIL", "alice", "MAIL"),
        (" alice ", " alice ", "example.com"),
        ("bj\xf8rn@b\xfccher.example", "bj\xf8rn", "b\xfccher.example"),
        ("u" * MAX_LOGIN + "@" + "r" * MAX_LOGIN, "u" * MAX_LOGIN, "r" * MAX_LOGIN),
    ],
)
def test_logins(text: str, user: str, realm: str) -> None:
    login = Login.parse(text, "example.com")
    assert (login.user, login.realm) == (user, realm)
    assert str(login) == f"{user}@{realm}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "alice@",
        "@example.com",
        "a\0lice",
        "alice\r\n",
        "alice@example.com\n",
        "al\x7fice",
        "al\x85ice",
        "al\ud800ice",
        "alice@\x1fexample",
        "u" * (MAX_LOGIN + 1),
        "\xe9" * (MAX_LOGIN // 2 + 1),
        "alice@" + "r" * (MAX_LOGIN + 1),
    ],
)
def test_no_logins(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Login.parse(text, "example.com")
    assert not isinstance(caught.value, UnicodeError)
    assert "ice" not in str(caught.value)


def test_a_default_realm_is_checked_too() -> None:
    with pytest.raises(ValueError):
        Login.parse("alice", "")
    with pytest.raises(ValueError):
        Login.parse("alice", "exam\nple")


@given(st.text(max_size=40), st.sampled_from(["example.com", "", "a@b"]))
def test_a_login_is_clean_or_none(text: str, realm: str) -> None:
    try:
        login = Login.parse(text, realm)
    except ValueError:
        return
    for half in (login.user, login.realm):
        assert half
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", half)
        assert len(half.encode()) <= MAX_LOGIN
    assert str(login) == (text if "@" in text else f"{text}@{realm}")


# Paths


@pytest.mark.parametrize(
    ("argument", "path", "rest"),
    [
        (b"FROM:<>", b"", b""),
        (b"FROM:<a@b>", b"a@b", b""),
        (b"from:<a@b>", b"a@b", b""),
        (b"FROM: <a@b>", b"a@b", b""),
        (b"FROM:<a@b> SIZE=1 BODY=7BIT", b"a@b", b"SIZE=1 BODY=7BIT"),
        (b"FROM:<a@b>   SIZE=1", b"a@b", b"SIZE=1"),
        (b"FROM:<a@b> ", b"a@b", b""),
        (b'FROM:<"a>b"@c> SIZE=1', b'"a>b"@c', b"SIZE=1"),
        (b'FROM:<"a\\"> SIZE=1<"@c>', b'"a\\"> SIZE=1<"@c', b""),
        (b'FROM:<"a b"@c>', b'"a b"@c', b""),
        (b"FROM:<a@b> AUTH=<>", b"a@b", b"AUTH=<>"),
        (b"FROM:<" + b"a" * (MAX_PATH - 2) + b">", b"a" * (MAX_PATH - 2), b""),
    ],
)
def test_paths(argument: bytes, path: bytes, rest: bytes) -> None:
    assert split_path(argument, b"FROM:") == (path, rest)
    assert split_path(argument, b"TO:") is None


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"FROM:",
        b"FROM",
        b"FROM <a@b>",
        b" FROM:<a@b>",
        b"FROM :<a@b>",
        b"FROM:  <a@b>",
        b"FROM:\t<a@b>",
        b"FROM:a@b",
        b"FROM:<a@b",
        b"FROM:a@b>",
        b"FROM:<<a@b>>",
        b"FROM:<a@b><c@d>",
        b"FROM:<a@b>SIZE=1",
        b"FROM:<a@b>\tSIZE=1",
        b"FROM:<a@b>, <c@d>",
        b'FROM:<"a@b>',
        b"FROM:<a@b\\>",
        b'FROM:"Alice" <a@b>',
        b"FROM:<" + b"a" * (MAX_PATH - 1) + b">",
    ],
)
def test_no_paths(argument: bytes) -> None:
    assert split_path(argument, b"FROM:") is None


@given(
    st.lists(
        st.sampled_from([b"FROM:", b"<", b">", b'"', b"\\", b" ", b"a@b", b"SIZE=1", b"\n", b"\xff"]), max_size=10
    ).map(b"".join)
)
def test_splitting_loses_nothing_but_blanks(argument: bytes) -> None:
    split = split_path(argument, b"FROM:")
    if split is not None:
        path, rest = split
        assert argument.removeprefix(b"FROM:").lstrip(b" ").startswith(b"<" + path + b">")
        assert argument.replace(b" ", b"") == (b"FROM:<" + path + b">" + rest).replace(b" ", b"")
        assert not rest.startswith(b" ")


# Mailboxes


@pytest.mark.parametrize(
    ("path", "local", "domain"),
    [
        (b"user@example.com", b"user", b"example.com"),
        (b"first.last@sub.example.com", b"first.last", b"sub.example.com"),
        (b"a!#$%&'*+-/=?^_`{|}~z@example.com", b"a!#$%&'*+-/=?^_`{|}~z", b"example.com"),
        (b'"a b"@example.com', b'"a b"', b"example.com"),
        (b'"a\\"b\\\\c"@example.com', b'"a\\"b\\\\c"', b"example.com"),
        (b'""@example.com', b'""', b"example.com"),
        (b'"<>"@example.com', b'"<>"', b"example.com"),
        (b"user@[192.0.2.1]", b"user", b"[192.0.2.1]"),
        (b"user@[IPv6:2001:db8::1]", b"user", b"[IPv6:2001:db8::1]"),
        (b"user@localhost", b"user", b"localhost"),
        (b"user@example.com.", b"user", b"example.com."),
        (b"user@under_score.example.com", b"user", b"under_score.example.com"),
        (b"user@1.example", b"user", b"1.example"),
        (b"user@a--b.example", b"user", b"a--b.example"),
        ("us\xe9r@ex\xe4mple.com".encode(), "us\xe9r".encode(), "ex\xe4mple.com".encode()),
        (b"postmaster", b"postmaster", b""),
        (b"root", b"root", b""),
    ],
)
def test_mailboxes(path: bytes, local: bytes, domain: bytes) -> None:
    assert parse_mailbox(path) == Mailbox(path, local, domain)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"@",
        b"@example.com",
        b"user@",
        b".user@example.com",
        b"user.@example.com",
        b"us..er@example.com",
        b"us er@example.com",
        b" user@example.com",
        b"user@example.com ",
        b"us<er@example.com",
        b"us>er@example.com",
        b"us,er@example.com",
        b"us;er@example.com",
        b"us:er@example.com",
        b"us(er)@example.com",
        b"us\\er@example.com",
        b'us"er"@example.com',
        b'"user"x@example.com',
        b'"user@example.com',
        b'"us\\"@example.com',
        b"user@-example.com",
        b"user@example-.com",
        b"user@.example.com",
        b"user@example..com",
        b"user@example.com..",
        b"user@exam ple.com",
        b"user@exam!ple.com",
        b"user@[]",
        b"user@[192.0.2.1",
        b"user@[192.0.2.1]]",
        b"user@[192.0.2.1].example.com",
        b"user@[a b]",
        b"us\xe9r@example.com",
        b"user@\xff.example",
        b"\xc0\xae@example.com",
        b"\xed\xa0\x80@example.com",
    ],
)
def test_no_mailboxes(path: bytes) -> None:
    assert parse_mailbox(path) is None


@pytest.mark.parametrize(
    "control", [b"\0", b"\t", b"\n", b"\r", b"\x1b", b"\x7f", "\x80".encode(), "\x85".encode(), "\x9f".encode()]
)
@pytest.mark.parametrize(
    "form",
    [
        b"us%sr@example.com",
        b'"us%sr"@example.com',
        b'"us\\%sr"@example.com',
        b"user@ex%s.com",
        b"user@[1%s2]",
        b"user@example.com%s",
    ],
)
def test_controls_are_nowhere_in_a_mailbox(form: bytes, control: bytes) -> None:
    assert parse_mailbox(form % control) is None


# The forms that people find open relays with, and what each is to us. Whether a stranger may use them is no question:
# he may use none, for he has no MAIL. From somebody with an identity they are recipients like others: the percent and
# bang forms are local parts by the grammar, and what sendmail makes of them, it may, for that client could name the
# address behind them outright. What isn't an address by the grammar never gets there.
OPEN_RELAY = {
    b"user@example.net": True,
    b"user%example.net@[192.0.2.1]": True,
    b"user%example.net@mail.example.com": True,
    b'"user@example.net"': True,
    b'"user%example.net"': True,
    b"user%example.net": True,
    b"user@example.net@[192.0.2.1]": False,
    b'"user@example.net"@[192.0.2.1]': True,
    b'"user@example.net"@mail.example.com': True,
    b"user@example.net@mail.example.com": False,
    b"@[192.0.2.1]:user@example.net": False,
    b"@mail.example.com:user@example.net": False,
    b"@mail.example.com,@example.org:user@example.net": False,
    b"example.net!user": True,
    b"example.net!user@[192.0.2.1]": True,
    b"example.net!user@mail.example.com": True,
    b"postmaster": True,
    b"user @example.net": False,
    b"user@ example.net": False,
    b" user@example.net": False,
    b"user@[IPv6:2001:db8::1]": True,
    b"user@[IPv6:::ffff:192.0.2.1]": True,
}


@pytest.mark.parametrize(("path", "is_mailbox"), OPEN_RELAY.items())
def test_the_forms_of_open_relay_tests(path: bytes, is_mailbox: bool) -> None:
    mailbox = parse_mailbox(path)
    assert (mailbox is not None) == is_mailbox
    if mailbox is not None:
        assert mailbox.text == path


def test_an_address_without_brackets_is_no_path() -> None:
    for path in OPEN_RELAY:
        assert split_path(b"TO:" + path, b"TO:") is None


octets = st.one_of(
    st.binary(max_size=40),
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"B1",
                b"@",
                b".",
                b'"',
                b"\\",
                b" ",
                b"<",
                b">",
                b"[",
                b"]",
                b":",
                b"-",
                b"%",
                b"\r\n",
                b"\0",
                b"\xc3\xa9",
                b"\xc2\x85",
                b"\xff",
            ]
        ),
        max_size=12,
    ).map(b"".join),
)


@given(octets)
def test_whatever_the_octets_a_mailbox_can_do_no_harm_between_brackets(path: bytes) -> None:
    mailbox = parse_mailbox(path)
    if mailbox is None:
        return
    text = mailbox.text.decode()
    assert mailbox.text == path
    assert mailbox.text == (mailbox.local + b"@" + mailbox.domain if mailbox.domain else mailbox.local)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", text)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert not re.search(r'[ <>"\\(),;]', outside)
    assert str(mailbox) == text
    if len(path) + 2 <= MAX_PATH:  # what we send on reads as what came
        assert split_path(b"TO:<" + mailbox.text + b"> X", b"TO:") == (path, b"X")


def test_a_hostile_path_takes_no_time() -> None:
    """Everything that a pattern could go back and forth in, at the length of a command line."""
    for piece in (b"a", b"a.", b"a-", b'\\"', b'"', b"a@", b"[a", b"a-a."):
        assert parse_mailbox(piece * 1000 + b"\0") is None
        assert parse_mailbox(b"a@" + piece * 1000 + b"\0") is None
        assert split_path(b"TO:<" + piece * 1000, b"TO:") is None


def test_ascii() -> None:
    ascii_mailbox, other = parse_mailbox(b"user@example.com"), parse_mailbox("us\xe9r@example.com".encode())
    assert ascii_mailbox is not None
    assert other is not None
    assert ascii_mailbox.is_ascii
    assert not other.is_ascii
    assert str(other) == "us\xe9r@example.com"


def test_the_null_sender() -> None:
    assert Mailbox(b"", b"", b"") == NULL
    assert NULL.is_ascii
    assert str(NULL) == ""
    assert parse_mailbox(b"") is None  # it is nobody's mailbox: whoever allows it says so


# xtext


def decode_xtext(data: bytes) -> bytes:
    """RFC 3461 section 4: xchar is 33 to 126 but "+" and "="; hexchar is "+" and two upper-case digits."""
    assert re.fullmatch(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", data)
    return re.sub(rb"\+([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), data)


@given(st.text())
def test_xtext_comes_back(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text.encode()


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("alice@example.com", b"alice@example.com"),
        ("e+mc2=x", b"e+2Bmc2+3Dx"),
        ("a b\r\n", b"a+20b+0D+0A"),
        ("\xe9\x7f", b"+C3+A9+7F"),
        ("<>", b"<>"),
    ],
)
def test_xtext(text: str, data: bytes) -> None:
    assert encode_xtext(text) == data


@given(st.text(), st.text())
def test_xtext_confuses_no_two_logins(one: str, other: str) -> None:
    assume(one != other)
    assert encode_xtext(one) != encode_xtext(other)
