import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.account_files import Account, Refusal
from submission.core.account_files.registry import READERS, guess

BCRYPT = "$2y$05$" + "a" * 53


def read(form: str, text: str) -> list[Account | Refusal]:
    return list(READERS[form](text))


def refused(reason: str) -> Refusal:
    return Refusal("line 1", reason, "alice")


def test_exim() -> None:
    text = "# who may send\nalice sesame\n\tbob@example.org\t two words \r\n\nlonely\n"
    assert read("exim", text) == [
        Account("line 2", "alice", password="sesame"),
        Account("line 3", "bob@example.org", password="two words"),
        Refusal("line 5", "is not `login password`"),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("alice:{PLAIN}se:same", Account("line 1", "alice", password="se")),  # a colon ends the field, as in Dovecot
        ("alice@example.org:{plain}sesame::::::", Account("line 1", "alice@example.org", password="sesame")),
        ("alice:$6$salt$sum:1000:1000::/home/alice:/bin/sh:", Account("line 1", "alice", hashed="$6$salt$sum")),
        ("alice:{SHA512-CRYPT}$6$salt$sum", Account("line 1", "alice", hashed="$6$salt$sum")),
        ("alice:{BLF-CRYPT}" + BCRYPT, Account("line 1", "alice", hashed=BCRYPT)),
        ("alice:{ARGON2ID}$argon2id$v=19$x", Account("line 1", "alice", hashed="$argon2id$v=19$x")),
        ("alice:{SSHA}abcd", Account("line 1", "alice", hashed="{SSHA}abcd")),
        ("alice:{LDAP-MD5}abcd", Account("line 1", "alice", hashed="{MD5}abcd")),
        ("alice:{MD5}$1$x$y", Account("line 1", "alice", hashed="$1$x$y")),
        ("alice:{SCRAM-SHA-256}4096,x,y,z", Account("line 1", "alice", scram="{SCRAM-SHA-256}4096,x,y,z")),
        (
            "alice:{PBKDF2}$1$c2FsdA$5000$" + "00" * 20,
            Account("line 1", "alice", hashed="$pbkdf2$5000$YzJGc2RB$" + "A" * 27),
        ),
        (
            "alice:{CRAM-MD5}" + "0" * 64,
            refused("holds what serves CRAM-MD5 alone: this user needs a new password"),
        ),
        (
            "alice:{SSHA.HEX}00",
            refused("holds a password in the scheme SSHA.HEX, which can't be taken"),
        ),
        ("alice:", Refusal("line 1", "has no password", "alice")),
        ("alice:*:1:1", Refusal("line 1", "is locked, or has its password elsewhere", "alice")),
        ("alice:x:1:1", Refusal("line 1", "is locked, or has its password elsewhere", "alice")),
        ("alice:{PLAIN}s::::::nologin=y", Refusal("line 1", "lets nobody log in by a password", "alice")),
        ("alice", Refusal("line 1", "is not `user:password`")),
        (":{PLAIN}x", Refusal("line 1", "is not `user:password`")),
        ("alice:{PLAIN}" + "x" * 5000, Refusal("line 1", "is not `user:password`")),
    ],
)
def test_passwd_file(line: str, found: Account | Refusal) -> None:
    assert read("passwd-file", f"{line}\n") == [found]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("alice:" + BCRYPT, Account("line 1", "alice", hashed=BCRYPT)),
        ("alice:$apr1$salt$sum", Account("line 1", "alice", hashed="$apr1$salt$sum")),
        ("alice:{SHA}abcd", Account("line 1", "alice", hashed="{SHA}abcd")),
        ("alice:bWi.EijoZI6Yo", Account("line 1", "alice", hashed="bWi.EijoZI6Yo")),
        (
            "alice:sesame",
            refused("may hold a password in the clear, which is not taken from an htpasswd file"),
        ),
        ("alice", Refusal("line 1", "is not `user:hash`")),
    ],
)
def test_htpasswd(line: str, found: Account | Refusal) -> None:
    assert read("htpasswd", f"{line}\n") == [found]


def test_csv() -> None:
    text = (
        "User,realm,password,hash,Disabled,phone\r\n"
        'alice,,"se""same, two",,,1\r\n'
        "bob,example.org,,{SSHA}abcd,yes,2\r\n"
        "\r\n"
        "carol,,,,,\r\n"
        "dave,,x,,perhaps,\r\n"
        "erin,x\r\n"
        '"frank\r\n",,x,,,\r\n'
        '"grace,,x,,,\r\n'
    )
    assert read("csv", "\ufeff" + text) == [
        Account("line 2", "alice", password='se"same, two'),
        Account("line 3", "bob@example.org", hashed="{SSHA}abcd", is_disabled=True),
        Refusal("line 5", "needs either a password or a hash", "carol"),
        Refusal("line 6", "says neither yes nor no in the column disabled", "dave"),
        Refusal("line 7", "has not 6 columns, as its header has"),
        Account("line 8", "frank\r\n", password="x"),  # what can be no name is refused where it would be kept
        Refusal("line 10", "is not CSV from here on (RFC 4180)"),
    ]
    assert read("csv", "alice,sesame\n") == [
        Refusal("line 1", "must be a header that names user, and password or hash")
    ]


@pytest.mark.parametrize("end", ["\x0b", "\x1c", "\x85", "\u2028"])
def test_nothing_within_a_value_of_csv_ends_its_line(end: str) -> None:
    password = f"x{end}eve"
    assert read("csv", f"user,password\r\nalice,{password}\r\n") == [Account("line 2", "alice", password=password)]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("# a note\n\nalice sesame\n", "exim"),
        ("alice@example.com\tsesame\n", "exim"),
        ("alice:{PLAIN}sesame\n", "passwd-file"),
        ("alice:$6$x$y:1:1::/home:/bin/sh\n", "passwd-file"),
        ("alice:$apr1$x$y\n", "htpasswd"),
        ("alice:" + BCRYPT + "\n", "htpasswd"),
        ("user,password\nalice,x\n", "csv"),
        ('"user","hash"\n', "csv"),
        ("alice:sesame\n", None),
        ("alice\n", None),
        ("", None),
    ],
)
def test_a_format_is_guessed_where_it_can_be(text: str, form: str | None) -> None:
    assert guess(text) == form


WORDS = [*"alice:@$!{}\"', \t\r\n#*", "{SSHA}", "$6$", "user,password", "sesame"]
SOUP = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)


@pytest.mark.parametrize("form", READERS)
@given(SOUP | st.text(max_size=100))
def test_any_text_is_accounts_and_refusals(form: str, text: str) -> None:
    for found in read(form, text):
        assert found.place.startswith("line ")
        if isinstance(found, Account):
            assert [bool(found.password), bool(found.hashed), bool(found.scram)].count(True) == 1
            assert found.name
            assert "sesame" in found.name or "sesame" not in repr(found)
    guess(text)
