"""Messages before a judge, cut anywhere, and those that go through a session in this process to a relay."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.config.settings import Settings
from submission.core import replies
from submission.core.addresses import Login, Mailbox, parse_mailbox
from submission.core.header_block import MAX_BLOCK
from submission.core.transaction import Envelope, Identity, Peer, Via
from submission.smtp.judging import Judge, JudgedMessage
from tests.support.noting_relay import make_pool
from tests.support.submitting import TakingRelay, cut, submitting

ALICE = Identity(Via.AUTH, Login("alice", "example.com"))
POP = Identity(Via.POP, Login("alice", "example.com"))
STATIC, RELAY = Identity(Via.STATIC, None), Identity(Via.RELAY, None)
TRACE = b"Received: by us\r\n"
OWN = {"from_header": "own", "sender": "own"}
TOO_LARGE = b"X: " + b"x" * MAX_BLOCK + b"\r\n\r\n"
Logged = Callable[[], list[dict[str, object]]]


def judge(policy: Mapping[str, object] | None = None) -> Judge:
    return Judge(
        Settings.model_validate(
            {
                "hostname": "mail.example.com",
                "state_dir": "/nowhere",
                "listen": [{"address": "unix:/nowhere/listener", "tls": "none"}],
                "auth": {"realm": "example.com"},
                "policy": {"complete_header": False, **(policy or {})},
            }
        )
    )


def mailbox(text: bytes) -> Mailbox:
    parsed = parse_mailbox(text)
    assert parsed is not None
    return parsed


def result(
    policy: Mapping[str, object], identity: Identity, *pieces: bytes, is_stuffed: bool = True, password: str = ""
) -> tuple[replies.Reply | None, bytes]:
    """The fault, and all that a relay got before it."""
    peer = Peer("session", password=password)
    envelope = Envelope(mailbox(b"alice@example.com"), identity)
    message = JudgedMessage(judge(policy), peer, envelope, TRACE, datetime.now(UTC), is_stuffed=is_stuffed)
    passed = b""
    for piece in pieces:
        passed += message.feed(piece)
    passed += message.finish()
    return message.fault, passed


@pytest.mark.parametrize(
    ("identity", "sender", "is_refused"),
    [
        (ALICE, b"alice@example.com", False),
        (ALICE, b"bob@example.com", True),
        (POP, b"bob@example.com", True),
        (STATIC, b"bob@example.com", False),
        (RELAY, b"bob@example.com", False),
    ],
)
@pytest.mark.parametrize("is_tried", [True, False])
def test_whose_name_is_a_question_for_logins(
    identity: Identity, sender: bytes, is_refused: bool, is_tried: bool, logged: Logged
) -> None:
    policy = {**OWN, "log_only": is_tried}
    refusal = judge(policy).refuse_sender(Peer("s1", "192.0.2.7"), identity, mailbox(sender))
    whose = "the user who has read mail from your address" if identity is POP else "alice@example.com"
    text = f"553 5.7.1 Sender <bob@example.com> is not one of {whose}"
    assert (refusal.text if refusal else "") == (text if is_refused and not is_tried else "")
    fault, passed = result(policy, identity, b"From: " + sender + b"\r\n\r\n")
    assert (fault is not None) == (is_refused and not is_tried)
    assert bool(passed) == (fault is None)
    events = [(line["event"], line["result"], line["rule"], line["user"], line["via"]) for line in logged()]
    told = [("policy", "would-refuse", rule, identity.user, identity.via.value) for rule in ("sender", "from_header")]
    assert events == (told if is_refused and is_tried else [])


@pytest.mark.parametrize(
    ("policy", "identity", "fault"),
    [
        ({}, ALICE, None),
        (OWN, ALICE, replies.HEADER_TOO_LARGE),
        ({**OWN, "log_only": True}, ALICE, None),
        (OWN, STATIC, None),
        ({"missing_from": "refuse"}, STATIC, replies.HEADER_TOO_LARGE),
        ({"remove_bcc": True}, POP, replies.HEADER_TOO_LARGE),
        ({"missing_from": "refuse", "remove_bcc": True}, RELAY, None),
    ],
)
def test_a_header_that_is_too_large_is_no_way_around_a_rule(
    policy: Mapping[str, object], identity: Identity, fault: replies.Reply | None
) -> None:
    passed = b"" if fault else TRACE + TOO_LARGE + b"body"
    assert result(policy, identity, TOO_LARGE, b"body") == (fault, passed)


@pytest.mark.parametrize("header", [b"", b"Subject: x\r\n", b"From:\r\n", b"From: a@b\r\nFrom: a@b\r\n", b"?\r\n"])
def test_who_needs_a_from(header: bytes) -> None:
    for identity, is_refused in ((ALICE, True), (POP, True), (STATIC, True), (RELAY, False)):
        fault, _ = result({"missing_from": "refuse"}, identity, header, b"\r\nbody\r\n")
        assert fault == (replies.BAD_FROM if is_refused else None)
        good = b"From: alice@example.com\r\n\r\nbody\r\n"
        assert result({"missing_from": "refuse"}, identity, good) == (None, TRACE + good)
    assert result(OWN, ALICE, header, b"\r\nbody\r\n") == (replies.BAD_FROM, b"")
    assert result({}, ALICE, header, b"\r\nbody\r\n") == (None, TRACE + header + b"\r\nbody\r\n")


def test_a_loop_is_refused_whoever_sends() -> None:
    for identity in (ALICE, POP, STATIC, RELAY):
        assert result({}, identity, b"Received: x\r\n" * 51) == (replies.IN_LOOP, b"")


@pytest.mark.parametrize(
    ("header", "identity", "added"),
    [
        (b"From: a@b\r\n", ALICE, "Date Message-ID"),
        (b"", ALICE, "Date Message-ID"),
        (b"date : x\r\n", ALICE, "Message-ID"),
        (b"MESSAGE-ID:\r\n", ALICE, "Date"),
        (b".Date: x\r\nMessage-Id: y\r\n", ALICE, ""),
        (b"no field\r\n", ALICE, ""),
        (b"Subject: gr\xc3\xbc\xc3\x9fe\r\n", ALICE, "Date Message-ID"),
        (b"From: a@b\r\n", POP, ""),
        (b"From: a@b\r\n", STATIC, ""),
        (b"From: a@b\r\n", RELAY, ""),
    ],
)
def test_what_is_missing_is_added_to_what_a_user_sends(header: bytes, identity: Identity, added: str) -> None:
    fault, passed = result({"complete_header": True}, identity, header + b"\r\nbody\r\n")
    assert fault is None
    assert passed.startswith(TRACE)
    assert passed.endswith(header + b"\r\nbody\r\n")
    fields = passed[len(TRACE) : len(passed) - len(header + b"\r\nbody\r\n")]
    assert re.findall(r"(?m)^([^:]+): .+\r$", fields.decode()) == added.split()


def test_a_message_id_is_ours() -> None:
    _, passed = result({"complete_header": True}, ALICE, b"\r\n")
    assert re.search(rb"(?m)^Message-ID: <[^@\r]+@mail\.example\.com>\r$", passed)


@pytest.mark.parametrize("name", [b"Bcc", b"bcc ", b"RESENT-BCC"])
def test_bcc_is_taken_out_where_that_is_asked_for_of_what_is_submitted(name: bytes) -> None:
    message = b"To: x@y\r\n" + name + b": z@y,\r\n  w@y\r\nBccs: v@y\r\n\r\nBcc: body\r\n"
    without = b"To: x@y\r\nBccs: v@y\r\n\r\nBcc: body\r\n"
    for identity, passed in ((ALICE, without), (POP, without), (STATIC, without), (RELAY, message)):
        assert result({"remove_bcc": True}, identity, message) == (None, TRACE + passed)
    assert result({}, ALICE, message) == (None, TRACE + message)


@pytest.mark.parametrize(("recipient", "is_rewritten"), [(b"a%b@example.com", True), (b"bob@example.com", False)])
def test_recipients_that_sendmail_might_rewrite_are_refused_unless_they_are_asked_for(
    recipient: bytes, is_rewritten: bool
) -> None:
    refused = judge().refuse_recipient(mailbox(recipient))
    assert refused is (replies.REWRITTEN_RECIPIENT if is_rewritten else None)
    assert judge({"rewritten_recipients": True}).refuse_recipient(mailbox(recipient)) is None


def test_the_body_is_not_held() -> None:
    peer, envelope = Peer("session"), Envelope(mailbox(b"alice@example.com"), ALICE)
    message = JudgedMessage(judge(OWN), peer, envelope, TRACE, datetime.now(UTC), is_stuffed=True)
    assert message.feed(b"From: alice@example.com\r\n\r") == b""
    assert message.feed(b"\n") == TRACE + b"From: alice@example.com\r\n\r\n"
    assert message.feed(b"x") == b"x"
    assert message.finish() == b""


def test_a_password_ends_a_message_wherever_it_is() -> None:
    for message in (
        b"Subject: sesame\r\n\r\n",
        b"\r\nmy password is sesame",
        b"X: y\r\n" * 20 + b"\r\nx\r\nsesame\r\n",
    ):
        fault, passed = result({}, ALICE, *(bytes([octet]) for octet in message), password="sesame")
        assert fault == replies.HOLDS_PASSWORD
        assert b"sesame" not in passed
    assert result({}, ALICE, b"\r\nsesam", b" e", password="sesame")[0] is None


PIECES = st.lists(
    st.sampled_from(
        [
            *(b"From: alice@example.com", b"From: ceo@example.com", b"\r\n", b"\r\n\r\n", b" <x@y>", b".", b"Bcc: z"),
            *(b"Date: x", b"no field", b"sesame", b"--x: y", b",\r\n\t", b"Received: x\r\n" * 51),
        ]
    ),
    max_size=10,
)


@given(PIECES, st.sampled_from([ALICE, STATIC]), st.booleans(), st.data())
def test_however_it_is_cut_the_outcome_is_the_same(
    pieces: list[bytes], identity: Identity, is_stuffed: bool, data: st.DataObject
) -> None:
    policy = {**OWN, "remove_bcc": True}
    message = b"".join(pieces)
    whole = result(policy, identity, message, is_stuffed=is_stuffed)
    assert result(policy, identity, *cut(message, data), is_stuffed=is_stuffed) == whole
    assert result(policy, identity, *cut(message, None), is_stuffed=is_stuffed) == whole
    assert whole[0] is None or not whole[1]


ENVELOPE = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@test.example>\r\n"
MESSAGES = st.lists(
    st.sampled_from([b"From: alice@example.com", b"From: ceo@example.com", b"", b".", b"x", b"..", b"X: y"]), max_size=8
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@given(content=MESSAGES, way=st.sampled_from(["DATA", "BDAT", "BDAT to BDAT"]), data=st.data())
@example(content=b"From: alice@example.com\r\n", way="BDAT to BDAT", data=None)
@example(content=b"From: alice@example.com\r\n\r\nx\r\n", way="BDAT to BDAT", data=None)
@example(content=b"From: ceo@example.com\r\n\r\nx\r\n", way="BDAT", data=None)
async def test_by_either_way_a_relay_gets_the_same_or_nothing(
    content: bytes, way: str, data: st.DataObject | None, folder: Path
) -> None:
    header = (b"\r\n" + content).partition(b"\r\n\r\n")[0].splitlines()[1:]
    is_good = all(b":" in line for line in header) and sorted(header)[:1] == [b"From: alice@example.com"]
    is_good &= sorted(header)[1:2] in ([], [b"X: y"])
    settings = {"auth": {"realm": "example.com"}, "policy": {"complete_header": False, "from_header": "own"}}
    relay = TakingRelay([b"PIPELINING", *([b"CHUNKING"] if way == "BDAT to BDAT" else [])])
    async with relay.running() as address, submitting(folder, make_pool(address), settings) as client:
        await client.send(ENVELOPE)
        assert [(await client.reply())[:4] for _ in range(2)] == [b"250 ", b"250 "]
        if way == "DATA":
            await client.send(b"DATA\r\n", *cut((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n", data))
            assert (await client.reply())[:4] == b"354 "
            heard = [await client.reply()]
        else:
            chunks = [*cut(content, data), b""]
            commands = [b"BDAT %d\r\n" % len(chunk) for chunk in chunks[:-1]] + [b"BDAT 0 LAST\r\n"]
            await client.send(*cut(b"".join(map(bytes.__add__, commands, chunks)), data))
            heard = [await client.reply() for _ in chunks]
    assert relay.messages == ([content] if is_good else [])
    codes = {reply[:4] for reply in heard}
    assert codes == {b"250 "} if is_good else codes & {b"553 ", b"554 "}
