import copy
import hashlib
import hmac
import re
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.sasl import (
    AUTHZID_REFUSED,
    BAD_CREDENTIALS,
    MALFORMED,
    Challenge,
    Channel,
    Failure,
    FetchSecret,
    Step,
    Success,
)
from submission.core.sasl.digest_md5 import DigestMd5Mechanism, parse

NONCE = b"721b1dc4.1795259330@mail.example.com"
CHANNEL = Channel(NONCE, "example.com")
CURL = (
    b'username="carol",realm="example.com",nonce="721b1dc4ecc470981fdaab7c46fae4c5.1795259330@mail.example.com",'
    b'cnonce="0e01c4c51a85a9d062da74cb9e636389",nc="00000001",digest-uri="smtp/example.com",'
    b"response=15fb52627c41d99fbf3200bb8c126862,qop=auth"
)
"""What curl 7.88.1 answered for carol, whose password is "correct horse"."""
RESPONSE = b"15fb52627c41d99fbf3200bb8c126862"


class DigestMd5OfImap(DigestMd5Mechanism):
    """For the RFC's own example, which is IMAP's."""

    SERVICE: ClassVar[bytes] = b"imap"


def test_example_of_rfc_2831() -> None:
    mechanism = DigestMd5OfImap(Channel(b"OA6MG9tEQGm2hh", "elwood.innosoft.com"))
    assert mechanism.start(None) == Challenge(
        b'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",charset=utf-8,algorithm=md5-sess'
    )
    asked = mechanism.respond(
        b'charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,'
        b'cnonce="OA6MHXh6VqTrRk",digest-uri="imap/elwood.innosoft.com",'
        b"response=d388dad90d4bbd760a152321f2143af7,qop=auth"
    )
    assert asked == FetchSecret("chris")
    assert mechanism.resolve(b"secret") == Challenge(b"rspauth=ea40f60335c427b5527b84dbabcdfffd")
    assert mechanism.respond(b"") == Success("chris")


def asked(change: bytes = b"", by: bytes = b"", response: bytes = RESPONSE) -> tuple[DigestMd5Mechanism, Step]:
    """A machine that got curl's response, with a change, and what it did."""
    mechanism = DigestMd5Mechanism(
        Channel(b"721b1dc4ecc470981fdaab7c46fae4c5.1795259330@mail.example.com", "example.com")
    )
    mechanism.start(None)
    assert change in CURL
    said = CURL.replace(change, by) if change else CURL + by
    return mechanism, mechanism.respond(said.replace(RESPONSE, response))


def test_what_curl_answers() -> None:
    mechanism, step = asked()
    assert step == FetchSecret("carol")
    assert mechanism.resolve(b"correct horse") == Challenge(b"rspauth=f18e3a222c744561545e8326868f9ea6")
    assert mechanism.respond(b"") == Success("carol")
    assert mechanism.respond(b"") == Failure(MALFORMED, "carol")


@pytest.mark.parametrize("answer", [b"correct horsE", b"", None, True, False, b"\xff", b"nobody's secret"])
def test_another_answer_of_the_store_is_bad_credentials(answer: bytes | bool | None) -> None:
    mechanism, _ = asked()
    assert mechanism.resolve(answer) == Failure(BAD_CREDENTIALS, "carol")
    assert mechanism.resolve(b"correct horse") == Failure(MALFORMED, "carol")
    assert mechanism.respond(b"") == Failure(MALFORMED, "carol")


@pytest.mark.parametrize("constant", ["", "nobody's secret"])
def test_no_constant_secret_logs_an_unknown_name_in(constant: str) -> None:
    """Whoever reads this source knows the secret that stands in for a missing one, and can answer with it."""
    key = hashlib.md5(f"nobody:example.com:{constant}".encode()).digest() + b":nonce:x"
    uri = hashlib.md5(b"AUTHENTICATE:smtp/x").hexdigest()
    text = f"{hashlib.md5(key).hexdigest()}:nonce:00000001:x:auth:{uri}"
    response = hashlib.md5(text.encode()).hexdigest()
    said = (
        f'username=nobody,realm="example.com",nonce=nonce,cnonce=x,nc=00000001,digest-uri="smtp/x",response={response}'
    )
    mechanism = DigestMd5Mechanism(Channel(b"nonce", "example.com"))
    mechanism.start(None)
    assert mechanism.respond(said.encode()) == FetchSecret("nobody")
    if constant:
        assert isinstance(copy.copy(mechanism).resolve(constant.encode()), Challenge)  # it is the right answer to that
    assert mechanism.resolve(None) == Failure(BAD_CREDENTIALS, "nobody")


@pytest.mark.parametrize("answer", [b"", None, True])
def test_without_a_secret_no_response_is_right(answer: bytes | bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    mechanism, _ = asked()
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: True)
    assert mechanism.resolve(answer) == Failure(BAD_CREDENTIALS, "carol")


@pytest.mark.parametrize("last", [b"x", b"\0", CURL])
def test_the_last_challenge_is_answered_by_nothing(last: bytes) -> None:
    mechanism, _ = asked()
    mechanism.resolve(b"correct horse")
    assert mechanism.respond(last) == Failure(MALFORMED, "carol")
    assert mechanism.respond(b"") == Failure(MALFORMED, "carol")


def test_a_secret_counts_only_after_a_question() -> None:
    mechanism = DigestMd5Mechanism(CHANNEL)
    mechanism.start(None)
    assert mechanism.resolve(b"correct horse") == Failure(MALFORMED)
    assert mechanism.respond(b"") == Failure(MALFORMED)


@pytest.mark.parametrize("initial", [b"", CURL])
def test_there_is_no_initial_response(initial: bytes) -> None:
    assert DigestMd5Mechanism(CHANNEL).start(initial) == Failure(MALFORMED)


@pytest.mark.parametrize(
    ("change", "by"),
    [
        (b"721b1dc4", b"721b1dc5"),  # somebody else's challenge
        (b"00000001", b"00000002"),  # a second login by the same nonce
        (b"qop=auth", b"qop=auth-int"),
        (b"qop=auth", b"qop=auth-conf"),
        (b'realm="example.com"', b'realm="example.net"'),
        (b"smtp/", b"imap/"),
        (b"smtp/", b"smtp"),
        (b"digest-uri", b"digest-url"),
        (b'cnonce="0e01c4c51a85a9d062da74cb9e636389"', b'cnonce=""'),
        (b"response=15fb", b"response=15FB"),
        (b"response=15fb", b"response=15f"),
        (b"", b",charset=iso-8859-1"),
    ],
)
def test_what_is_no_answer_to_our_challenge(change: bytes, by: bytes) -> None:
    mechanism, step = asked(change, by)
    assert step == Failure(MALFORMED, "carol")
    assert mechanism.resolve(b"correct horse") == Failure(MALFORMED, "carol")


@pytest.mark.parametrize(
    ("change", "by"),
    [
        (b'username="carol",', b""),
        (b'"carol"', b'""'),
        (b'"carol"', b'"ca\0rol"'),
        (b'"carol"', b'"ca\\\0rol"'),
        (b'"carol"', b'"carol'),
        (b'"carol"', b'"carol\\"'),
        (b"", b",qop=auth"),
        (b"", b",QOP=auth"),
        (b"", b",x"),
        (b"", b",=x"),
        (b"", b",x="),
        (b"", b",x=y z"),
        (b"", b" x=y"),
        (b"", b",x=y" * 32),
        (b"", b"," * 4096),
        (b"", b',x="' + b"y" * 4096 + b'"'),
        (b'"carol"', b'"' + b"x" * 512 + b'"'),
        (b'"carol"', b'"ca\xff",charset=utf-8,x="y"'),
    ],
)
def test_what_is_no_response(change: bytes, by: bytes) -> None:
    assert asked(change, by)[1] == Failure(MALFORMED)


@pytest.mark.parametrize(
    ("change", "by"),
    [
        (b"", b","),
        (b"", b" , ,\t,maxbuf=65536"),
        (b",nc=", b" ,\r\n nc = "),
        (b"username", b"UserName"),
        (b'"carol"', b'"\\c\\arol"'),
        (b'"carol"', b"carol"),
        (b"", b',authzid=""'),
        (b"", b",authzid=carol"),
        (b"", b",charset=UTF-8"),
        (b',realm="example.com"', b""),
        (b"smtp/example.com", b"SMTP/192.0.2.1"),
        (b",qop=auth", b""),
    ],
)
def test_what_may_be_otherwise(change: bytes, by: bytes) -> None:
    assert asked(change, by)[1] == FetchSecret("carol")


@pytest.mark.parametrize(
    ("change", "by", "user", "rest"),
    [
        (b"", b',authzid="carol"', b"carol:example.com:correct horse", b":carol"),
        (b'realm="example.com",', b"", b"carol::correct horse", b""),  # RFC 2831 section 2.1.2: the default is ""
        (b'realm="example.com"', b'realm=""', b"carol::correct horse", b""),
    ],
)
def test_authzid_and_realm_are_part_of_what_is_digested(change: bytes, by: bytes, user: bytes, rest: bytes) -> None:
    nonce, cnonce = b"721b1dc4ecc470981fdaab7c46fae4c5.1795259330@mail.example.com", b"0e01c4c51a85a9d062da74cb9e636389"
    key = hashlib.md5(b":".join((hashlib.md5(user).digest(), nonce, cnonce)) + rest).hexdigest()
    uri = hashlib.md5(b"AUTHENTICATE:smtp/example.com").hexdigest()
    text = f"{key}:{nonce.decode()}:00000001:{cnonce.decode()}:auth:{uri}"
    response = hashlib.md5(text.encode()).hexdigest().encode()
    mechanism, _ = asked(change, by, response)
    assert isinstance(mechanism.resolve(b"correct horse"), Challenge)
    mechanism, _ = asked(change, by)
    assert mechanism.resolve(b"correct horse") == Failure(BAD_CREDENTIALS, "carol")


def test_nobody_acts_for_somebody_else() -> None:
    assert asked(b"", b',authzid="bob"')[1] == Failure(AUTHZID_REFUSED, "carol")


def test_names_without_a_charset_are_latin_1() -> None:
    assert asked(b'"carol"', b'"c\xe4rol"')[1] == FetchSecret("c\u00e4rol")
    assert asked(b'"carol"', '"c\u00e4rol",charset=utf-8'.encode())[1] == FetchSecret("c\u00e4rol")


def test_a_realm_is_quoted() -> None:
    step = DigestMd5Mechanism(Channel(NONCE, 'a"b\\c')).start(None)
    assert isinstance(step, Challenge)
    assert step.data.startswith(rb'realm="a\"b\\c",nonce=')
    said = parse(step.data)
    assert said is not None
    assert said[b"realm"] == rb'a"b\c'


def test_how_long_a_message_is_and_how_many_directives_it_has_at_most() -> None:
    assert parse(b"x=" + b"y" * 4094) == {b"x": b"y" * 4094}
    assert parse(b"x=" + b"y" * 4095) is None
    assert len(parse(b",".join(b"x%d=y" % number for number in range(32))) or {}) == 32
    assert parse(b",".join(b"x%d=y" % number for number in range(33))) is None


@given(st.dictionaries(st.from_regex(rb"[a-z][a-z-]{0,9}", fullmatch=True), st.binary(max_size=20), max_size=20))
def test_what_is_quoted_is_read(directives: dict[bytes, bytes]) -> None:
    directives = {name: value.replace(b"\0", b"") for name, value in directives.items()}
    escaped = {name: re.sub(rb'(["\\])', rb"\\\1", value) for name, value in directives.items()}
    assert parse(b",".join(b'%b="%b"' % item for item in escaped.items())) == directives


@given(st.binary() | st.lists(st.sampled_from([b"a", b"=", b'"', b"\\", b",", b" ", b"\0", b"\xff"])).map(b"".join))
def test_any_octets_are_directives_or_none(data: bytes) -> None:
    assert parse(data) is None or isinstance(parse(data), dict)
