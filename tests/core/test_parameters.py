import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core import replies
from submission.core.parameters import MAIL, MAX_COUNT, RCPT, Parameters, declared_size, encode, parse
from submission.core.replies import Reply

EVERYTHING = frozenset({"SIZE", "8BITMIME", "AUTH", "DSN", "SMTPUTF8", "DELIVERBY"})


def mail(text: bytes, offered: frozenset[str] = EVERYTHING) -> Parameters | Reply:
    return parse(text, MAIL, offered)


def rcpt(text: bytes, offered: frozenset[str] = EVERYTHING) -> Parameters | Reply:
    return parse(text, RCPT, offered)


def accepted(result: Parameters | Reply) -> Parameters:
    assert isinstance(result, dict), result
    return result


def test_none() -> None:
    assert mail(b"") == {}
    assert mail(b"   ") == {}
    assert encode({}) == b""


def test_values_keep_their_case_and_keywords_lose_theirs() -> None:
    parameters = accepted(mail(b"size=1000 Body=8BitMime eNVid=QQ314159+2BaBc SmtpUtf8 ret=hdrs"))
    assert parameters == {
        b"SIZE": b"1000",
        b"BODY": b"8BitMime",
        b"ENVID": b"QQ314159+2BaBc",
        b"SMTPUTF8": None,
        b"RET": b"hdrs",
    }
    assert encode(parameters) == b" SIZE=1000 BODY=8BitMime ENVID=QQ314159+2BaBc SMTPUTF8 RET=hdrs"


def test_the_order_is_the_client_s() -> None:
    assert list(accepted(mail(b"RET=FULL SIZE=1 BODY=7BIT AUTH=<>"))) == [b"RET", b"SIZE", b"BODY", b"AUTH"]
    assert list(accepted(mail(b"AUTH=<> BODY=7BIT SIZE=1 RET=FULL"))) == [b"AUTH", b"BODY", b"SIZE", b"RET"]


def test_those_of_rcpt() -> None:
    parameters = accepted(rcpt(b"NOTIFY=SUCCESS,delay ORCPT=rfc822;Bob+40x@Example.net"))
    assert encode(parameters) == b" NOTIFY=SUCCESS,delay ORCPT=rfc822;Bob+40x@Example.net"


@pytest.mark.parametrize(
    "text", [b"SIZE=1 SIZE=1", b"SIZE=1 size=2", b"SMTPUTF8 SMTPUTF8", b"RET=FULL BODY=7BIT ret=HDRS"]
)
def test_none_may_come_twice(text: bytes) -> None:
    assert mail(text) == replies.BAD_PARAMETERS


@pytest.mark.parametrize(
    "text", [b"XFOO", b"XFOO=bar", b"SIZES=1", b"NOTIFY=NEVER", b"ORCPT=rfc822;a@b", b"SIZE=1 XFOO"]
)
def test_unknown_ones(text: bytes) -> None:
    assert mail(text) == replies.UNKNOWN_PARAMETER


@pytest.mark.parametrize("text", [b"SIZE=1", b"BODY=7BIT", b"AUTH=<>", b"RET=FULL", b"SMTPUTF8", b"BY=120;R"])
def test_those_of_mail_are_unknown_to_rcpt(text: bytes) -> None:
    assert rcpt(text) == replies.UNKNOWN_PARAMETER


@pytest.mark.parametrize(
    ("text", "extension"),
    [
        (b"SIZE=1", "SIZE"),
        (b"BODY=8BITMIME", "8BITMIME"),
        (b"AUTH=<>", "AUTH"),
        (b"RET=FULL", "DSN"),
        (b"ENVID=x", "DSN"),
        (b"SMTPUTF8", "SMTPUTF8"),
        (b"BY=120;R", "DELIVERBY"),
    ],
)
def test_those_that_were_not_offered(text: bytes, extension: str) -> None:
    assert accepted(mail(text, frozenset({extension})))
    assert mail(text, EVERYTHING - {extension}) == replies.UNKNOWN_PARAMETER
    assert mail(text, frozenset()) == replies.UNKNOWN_PARAMETER


def test_after_helo_rcpt_takes_none() -> None:
    assert rcpt(b"NOTIFY=NEVER", frozenset()) == replies.UNKNOWN_PARAMETER
    assert rcpt(b"ORCPT=rfc822;a@b", frozenset()) == replies.UNKNOWN_PARAMETER


@pytest.mark.parametrize(
    "text",
    [
        b"=",
        b"=1",
        b"SIZE=",
        b"SIZE==1",
        b"ENVID=a=b",
        b"-SIZE=1",
        b"ENVID=a\0b",
        b"ENVID=a\x7fb",
        b"S_IZE=1",
        b"S\xfcZE=1",
        b"<a@b>",
        b"SIZE=1,BODY=7BIT",
    ],
)
def test_malformed_ones(text: bytes) -> None:
    assert mail(text) == replies.BAD_PARAMETERS


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"=-1",
        b"=+1",
        b"=0x10",
        b"=1k",
        b"=1.0",
        b"=1_0",
        b"=" + b"9" * 21,
        b"=" + b"0" * 4000,
        b"=\xb2",
        b"=\xd9\xa1",
    ],
)
def test_absurd_sizes(value: bytes) -> None:
    assert mail(b"SIZE" + value) == replies.BAD_PARAMETERS


@pytest.mark.parametrize(("value", "size"), [(b"0", 0), (b"00017", 17), (b"9" * 20, 10**20 - 1)])
def test_sizes(value: bytes, size: int) -> None:
    assert declared_size(accepted(mail(b"SIZE=" + value))) == size


def test_a_size_that_was_not_declared_is_none() -> None:
    assert declared_size({}) == 0


@pytest.mark.parametrize("text", [b"BODY", b"BODY=BINARYMIME", b"BODY=9BIT", b"BODY=8BITMIME,7BIT", b"SMTPUTF8=yes"])
def test_values_of_body_and_smtputf8(text: bytes) -> None:
    assert mail(text) == replies.BAD_PARAMETERS


def test_there_are_only_so_many() -> None:
    many = {b"X%d" % number: "SIZE" for number in range(MAX_COUNT + 1)}
    words = [b"X%d=1" % number for number in range(MAX_COUNT + 1)]
    assert len(accepted(parse(b" ".join(words[:-1]), many, {"SIZE"}))) == MAX_COUNT
    assert parse(b" ".join(words), many, {"SIZE"}) == replies.BAD_PARAMETERS


@given(
    st.one_of(
        st.binary(max_size=80),
        st.lists(
            st.sampled_from(
                [b"SIZE", b"=", b"1", b" ", b"BODY=7BIT", b"AUTH=<>", b"\r\n", b"\0", b"RET", b"\xc3\xa9", b"SMTPUTF8"]
            ),
            max_size=12,
        ).map(b"".join),
    )
)
def test_whatever_comes_what_goes_on_cannot_be_more_than_parameters(text: bytes) -> None:
    parameters = mail(text)
    if isinstance(parameters, Reply):
        assert parameters in (replies.BAD_PARAMETERS, replies.UNKNOWN_PARAMETER)
        return
    words = encode(parameters)
    assert all(octet > 32 and octet != 127 for octet in words.replace(b" ", b""))
    assert set(parameters) <= set(MAIL)
    assert mail(words) == parameters
    assert declared_size(parameters) >= 0
